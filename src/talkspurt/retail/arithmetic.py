"""Sums, differences, products and quotients of amounts, from text. No code is run, whatever the text says.

The text is parsed by Python's own grammar and walked over: only numbers, + - * /, signs and brackets mean anything.
Exact in decimals, so that cents add up.
"""

import ast
import re
from decimal import Decimal, DivisionByZero, InvalidOperation, localcontext
from typing import Final

from talkspurt.agent import ToolError

LONGEST: Final = 200
"""Characters of an expression."""
DEEPEST: Final = 30
"""Brackets and signs within each other."""
LARGEST: Final = Decimal(10) ** 12

_SPOKEN: Final = {"plus": "+", "minus": "-", "less": "-", "times": "*", "divided by": "/"}
_SPOKEN_SIGN: Final = re.compile(rf"\b({'|'.join(_SPOKEN)})\b", re.IGNORECASE)
_BETWEEN: Final = re.compile(r"[-−+]?\s*[$€£]?[\d(].*[\d)]")
"""From the first number to the last: "what's" and "altogether?" stand around a sum that was said."""
UNREADABLE: Final = "I can't work that out. Give me numbers with plus, minus, times or divided by."


def calculate(expression: str) -> str:
    """The value of `expression`, rounded to cents: "135.24 - 153.23" → "-17.99". Raises `ToolError`.

    A caller's own words will do: "what's $652.61 plus $473.43?".
    """
    written = _written(expression).replace("×", "*").replace("÷", "/").replace("−", "-")
    plain = re.sub(r"[$€£\s]|(?<=\d),(?=\d{3}\b)", "", written)
    if not plain or len(plain) > LONGEST or not re.fullmatch(r"[\d.+\-*/()]+", plain) or "**" in plain or "//" in plain:
        raise ToolError(UNREADABLE)
    try:
        with localcontext(prec=40):
            value = _value(ast.parse(plain, mode="eval").body, DEEPEST)
            rounded = value.quantize(Decimal("0.01"))
    except (SyntaxError, RecursionError, MemoryError, InvalidOperation, ValueError):
        raise ToolError(UNREADABLE) from None
    except DivisionByZero:
        raise ToolError("Nothing can be divided by zero.") from None
    if abs(rounded) > LARGEST:
        raise ToolError("That is too large for me to work out.")
    return f"{rounded.normalize():f}" if rounded == rounded.to_integral_value() else f"{rounded:f}"


def _written(expression: str) -> str:
    """A sum in signs, if it was said in words."""
    if not _SPOKEN_SIGN.search(expression):
        return expression
    signs = _SPOKEN_SIGN.sub(lambda word: _SPOKEN[word.group().lower()], expression)
    found = _BETWEEN.search(signs)
    return found.group() if found else signs


def _value(node: ast.expr, deepest: int) -> Decimal:
    if deepest == 0:
        raise ValueError("too deep")
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return Decimal(str(number))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, deepest - 1)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand, deepest - 1)
        case ast.BinOp(left=left, op=operator, right=right):
            one, other = _value(left, deepest - 1), _value(right, deepest - 1)
            match operator:
                case ast.Add():
                    return one + other
                case ast.Sub():
                    return one - other
                case ast.Mult():
                    return one * other
                case ast.Div():
                    return one / other
    raise ValueError("not arithmetic")
