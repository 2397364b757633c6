"""How numbers are said in American English, and the words that abbreviations, units and names stand for.

Own code and not a library, measured on our cases and this machine (`docs/spoken.md`): `inflect` says the same numbers
but takes seconds to import, `num2words` is LGPL, and neither knows how years, house numbers or ids are said.
"""

from collections.abc import Mapping
from typing import Final


def vocabulary(text: str) -> tuple[str, ...]:
    """Words that are data, in order."""
    return tuple(text.split())


_SMALL: Final = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS: Final = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SCALES: Final = ("", " thousand", " million", " billion", " trillion")
_IRREGULAR: Final = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}


def cardinal(number: int) -> str:
    """1234 → "one thousand two hundred thirty-four"; from 10**15 on digit by digit."""
    if number >= 10 ** (3 * len(_SCALES)):
        return grouped(str(number))
    if number < 1000:
        return _below_thousand(number)
    parts = []
    for power in range(len(_SCALES) - 1, -1, -1):
        value = number // 1000**power % 1000
        if value:
            parts.append(_below_thousand(value) + _SCALES[power])
    return " ".join(parts)


def _below_thousand(number: int) -> str:
    if number < 20:
        return _SMALL[number]
    if number < 100:
        return _TENS[number // 10] + (f"-{_SMALL[number % 10]}" if number % 10 else "")
    return f"{_SMALL[number // 100]} hundred" + (f" {_below_thousand(number % 100)}" if number % 100 else "")


def ordinal(number: int) -> str:
    """22 → "twenty-second"."""
    said = cardinal(number)
    at = max(said.rfind(" "), said.rfind("-")) + 1
    last = said[at:]
    if last.endswith("y"):
        return f"{said[:at]}{last[:-1]}ieth"
    return said[:at] + _IRREGULAR.get(last, f"{last}th")


def in_pairs(number: int) -> str:
    """A house number: 742 → "seven forty-two", 1500 → "fifteen hundred", 1205 → "twelve oh five"."""
    high, low = divmod(number, 100)
    if not high or number > 9999:
        return cardinal(number) if number <= 9999 else digits(str(number))
    if not low:
        return cardinal(number) if high % 10 == 0 and high >= 10 else f"{cardinal(high)} hundred"
    return f"{cardinal(high)} {'oh ' if low < 10 else ''}{cardinal(low)}"


def year(number: int) -> str:
    """1999 → "nineteen ninety-nine", 2005 → "two thousand five", 2026 → "twenty twenty-six"."""
    return cardinal(number) if 2000 <= number <= 2009 else in_pairs(number)


def digits(text: str) -> str:
    """As in "042" → "zero four two"."""
    return " ".join(_SMALL[int(digit)] for digit in text if digit.isdecimal())


def spelled(text: str) -> str:
    """Letter by letter: "gmx" → "g m x"."""
    return " ".join(text)


def grouped(text: str) -> str:
    """Digits in groups that can be written down: "2378156" → "two three seven, eight one five six"."""
    found, at = [], 0
    for size in _group_sizes(len(text)):
        found.append(digits(text[at : at + size]))
        at += size
    return ", ".join(found)


def _group_sizes(length: int) -> tuple[int, ...]:
    if length <= 5:
        return (length,)
    known = {6: (3, 3), 7: (3, 4), 8: (4, 4), 9: (3, 3, 3), 10: (3, 3, 4)}
    if length in known:
        return known[length]
    fours, rest = divmod(length, 4)
    endings: Mapping[int, tuple[int, ...]] = {0: (4,), 1: (5,), 2: (3, 3), 3: (4, 3)}
    return (4,) * (fours - 1) + endings[rest]


def decimal(text: str) -> str:
    """As in "1,234.50" → "one thousand two hundred thirty-four point five zero"; ".5" → "zero point five"."""
    whole, point, fraction = text.replace(",", "").partition(".")
    said = cardinal(int(whole or "0")) if not (len(whole) > 1 and whole[0] == "0") else digits(whole)
    return f"{said} point {digits(fraction)}" if point and fraction else said


def _named(text: str) -> dict[str, str]:
    return dict(entry.split("=", 1) for entry in text.split("|"))


MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September", "October"),
    *("November", "December"),
)
MONTH_OF: Final = {name[:3]: name for name in MONTHS} | {"Sept": "September"} | {name: name for name in MONTHS}
WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
WEEKDAY_OF: Final = {name[:3]: name for name in WEEKDAYS} | {
    "Tues": "Tuesday",
    "Thur": "Thursday",
    "Thurs": "Thursday",
    **{name: name for name in WEEKDAYS},
}


def on_day(month: int, day: int, of: str = "") -> str | None:
    """11, 25, "2026" → "November twenty-fifth, twenty twenty-six"; None for no day."""
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    said = f"{MONTHS[month - 1]} {ordinal(day)}"
    if not of:
        return said
    return f"{said}, {year(int(of) if len(of) == 4 else 2000 + int(of))}"


CURRENCIES: Final = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "€": ("euro", "euros", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "¥": ("yen", "yen", "", ""),
    "₹": ("rupee", "rupees", "paisa", "paise"),
}
COUNTRIES: Final = {"US": "US", "CA": "Canadian", "C": "Canadian", "AU": "Australian", "A": "Australian",
                    "NZ": "New Zealand", "HK": "Hong Kong"}  # fmt: skip
CURRENCY_CODES: Final = {
    "USD": ("US", "$"),
    "CAD": ("Canadian", "$"),
    "AUD": ("Australian", "$"),
    "EUR": ("", "€"),
    "GBP": ("", "£"),
    "JPY": ("", "¥"),
}
AMOUNTS: Final = {"k": "thousand", "K": "thousand", "m": "million", "M": "million", "mn": "million", "bn": "billion",
                  "B": "billion", "thousand": "thousand", "million": "million", "billion": "billion"}  # fmt: skip

UNITS: Final = {
    **dict.fromkeys(("lb", "lbs"), ("pound", "pounds")),
    "kg": ("kilogram", "kilograms"),
    "g": ("gram", "grams"),
    "mg": ("milligram", "milligrams"),
    "oz": ("ounce", "ounces"),
    "fl oz": ("fluid ounce", "fluid ounces"),
    "ft": ("foot", "feet"),
    "in.": ("inch", "inches"),
    "yd": ("yard", "yards"),
    "mi": ("mile", "miles"),
    "km": ("kilometer", "kilometers"),
    "m": ("meter", "meters"),
    "cm": ("centimeter", "centimeters"),
    "mm": ("millimeter", "millimeters"),
    **dict.fromkeys(("ml", "mL"), ("milliliter", "milliliters")),
    **dict.fromkeys(("l", "L"), ("liter", "liters")),
    **dict.fromkeys(("gal",), ("gallon", "gallons")),
    **dict.fromkeys(("qt",), ("quart", "quarts")),
    "KB": ("kilobyte", "kilobytes"),
    "MB": ("megabyte", "megabytes"),
    "GB": ("gigabyte", "gigabytes"),
    "TB": ("terabyte", "terabytes"),
    "Mbps": ("megabit per second", "megabits per second"),
    "MP": ("megapixel", "megapixels"),
    "Hz": ("hertz", "hertz"),
    "kHz": ("kilohertz", "kilohertz"),
    "MHz": ("megahertz", "megahertz"),
    "GHz": ("gigahertz", "gigahertz"),
    "W": ("watt", "watts"),
    "kW": ("kilowatt", "kilowatts"),
    "kWh": ("kilowatt hour", "kilowatt hours"),
    "Wh": ("watt hour", "watt hours"),
    "mAh": ("milliamp hour", "milliamp hours"),
    "V": ("volt", "volts"),
    "mph": ("mile per hour", "miles per hour"),
    "km/h": ("kilometer per hour", "kilometers per hour"),
    **dict.fromkeys(("hr", "hrs", "h"), ("hour", "hours")),
    **dict.fromkeys(("min", "mins"), ("minute", "minutes")),
    **dict.fromkeys(("sec", "secs"), ("second", "seconds")),
    "ms": ("millisecond", "milliseconds"),
    **dict.fromkeys(("yr", "yrs"), ("year", "years")),
    **dict.fromkeys(("wk", "wks"), ("week", "weeks")),
    **dict.fromkeys(("pc", "pcs"), ("piece", "pieces")),
    '"': ("inch", "inches"),
    "″": ("inch", "inches"),
    "°F": ("degree Fahrenheit", "degrees Fahrenheit"),
    "°C": ("degree Celsius", "degrees Celsius"),
    "°": ("degree", "degrees"),
}

ABBREVIATIONS: Final = {
    "Mr": "Mister",
    "Mrs": "Missus",
    "Ms": "Miz",
    "Prof": "Professor",
    "Inc": "Incorporated",
    "Ltd": "Limited",
    "Corp": "Corporation",
    "Jr": "Junior",
    "Sr": "Senior",
    "etc": "et cetera",
    "vs": "versus",
    "approx": "approximately",
    "dept": "department",
    "Dept": "Department",
    "Apt": "Apartment",
    "Ste": "Suite",
    "Bldg": "Building",
    "Fl": "Floor",
    "Ave": "Avenue",
    "Blvd": "Boulevard",
    "Rd": "Road",
    "Ln": "Lane",
    "Ct": "Court",
    "Pl": "Place",
    "Hwy": "Highway",
    "Pkwy": "Parkway",
    "Sq": "Square",
    "Ter": "Terrace",
    "qty": "quantity",
    "Qty": "Quantity",
    "max": "maximum",
    "incl": "including",
    "excl": "excluding",
    "est": "established",
    "tel": "telephone",
    "Tel": "Telephone",
    "ext": "extension",
}
"""Said so where a full stop follows."""
STREETS: Final = frozenset({"Ave", "Blvd", "Rd", "Ln", "Ct", "Pl", "Hwy", "Pkwy", "Sq", "Ter"})
"""Said so without a full stop too, behind a name."""
EVER: Final = {"qty": "quantity", "Qty": "Quantity", "vs": "versus", "etc": "et cetera", "Apt": "Apartment",
               "Ste": "Suite", "approx": "approximately", "ext": "extension", "Blvd": "Boulevard"}  # fmt: skip
"""Said so with or without."""

ROMAN: Final = {"I": 1, "II": 2, "III": 3, "IV": 4, "V": 5, "VI": 6, "VII": 7, "VIII": 8, "IX": 9, "X": 10}

STATES: Final = _named(
    "AL=Alabama|AK=Alaska|AZ=Arizona|AR=Arkansas|CA=California|CO=Colorado|CT=Connecticut|DE=Delaware|DC=D C|"
    "FL=Florida|GA=Georgia|HI=Hawaii|ID=Idaho|IL=Illinois|IN=Indiana|IA=Iowa|KS=Kansas|KY=Kentucky|"
    "LA=Louisiana|ME=Maine|MD=Maryland|MA=Massachusetts|MI=Michigan|MN=Minnesota|MS=Mississippi|MO=Missouri|"
    "MT=Montana|NE=Nebraska|NV=Nevada|NH=New Hampshire|NJ=New Jersey|NM=New Mexico|NY=New York|"
    "NC=North Carolina|ND=North Dakota|OH=Ohio|OK=Oklahoma|OR=Oregon|PA=Pennsylvania|RI=Rhode Island|"
    "SC=South Carolina|SD=South Dakota|TN=Tennessee|TX=Texas|UT=Utah|VT=Vermont|VA=Virginia|WA=Washington|"
    "WV=West Virginia|WI=Wisconsin|WY=Wyoming"
)
FRACTIONS: Final = {2: "half", 3: "third", 4: "quarter", 5: "fifth", 8: "eighth", 10: "tenth", 16: "sixteenth"}
WORD_DOMAINS: Final = frozenset(
    {"com", "org", "net", "edu", "gov", "info", "shop", "store", "app", "dev", "online", "co", "biz", "mil", "museum"}
)
"""Ends of addresses that are said as words; others are spelled."""
DOMAINS: Final = tuple(
    sorted(
        (
            *WORD_DOMAINS,
            *vocabulary("io de uk us ca fr es it nl eu at ch au nz in jp me tv ai"),
        )
    )
)
