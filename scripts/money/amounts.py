"""Amounts of money as people read them."""


def money(amount: float, currency: str) -> str:
    """An amount for people."""
    return f"less than 0.01 {currency}" if 0 < amount < 0.01 else f"{amount:,.2f} {currency}"
