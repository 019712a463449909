"""Money and days of one subscription, as balanced postings.

`account` holds the values: accounts, lots, bills, and what an entry changes in them. `check` holds the rules that no
write may break, `draft` an entry in the making, `steps` what a rule may ask for. `opening` makes the account of a
snapshot. The verbs lie by chapter: `selling`, `paying`, `invoices`, `banks`, `giving_back`.
"""
