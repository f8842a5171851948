"""Which rows did an answer borrow from?"""
