"""Who works at the hotels. Names come in the scripts of India and a few others, as they do in real books."""

import json
from typing import Final

_NAMES: Final = (
    "Asha Nair",
    "Rahul Sharma",
    "अनीता देशपांडे",
    "राजेश कुमार",
    "सुनीता चौहान",
    "மீனா சுப்பிரமணியன்",
    "கார்த்திக் ராஜன்",
    "লক্ষ্মী চট্টোপাধ্যায়",
    "অর্জুন সেন",
    "ಸುಮಾ ಹೆಗಡೆ",
    "ರವಿ ಗೌಡ",
    "లక్ష్మీ రెడ్డి",
    "వెంకట్ రావు",
    "ലത മേനോൻ",
    "તેજલ પટેલ",
    "ਗੁਰਪ੍ਰੀਤ ਸਿੰਘ",
    "عائشہ خان",
    "Joaquim D'Souza",
    "Zoë Fernandes",
    "Priya Iyer",
    "Imran Shaikh",
    "Tenzin Dorjé",
    "Neha Gupta",
    "Anil K. Joshi",
    "José María Núñez",
    "陈美玲",
    "佐藤 健",
    "Łukasz Wójcik",
    "Ngọc Trần",
    'Vikram "Vicky" Rao',
    "Fatima Sheikh 🌸",
)
_ENCODED: Final = tuple(json.dumps(name, ensure_ascii=False) for name in _NAMES)

# The desks of a hotel, in the order of their user numbers. The first three may approve what the others record.
ROLES: Final = ("manager", "accountant", "owner", "front_desk", "restaurant", "bar", "housekeeping", "stores")
APPROVERS: Final = 3


def recorded_by(org_id: int, role: int) -> str:
    """The JSON of a user of the organisation; the same person each time. Some systems send no name."""
    user_id = org_id * 100 + role
    if role == len(ROLES) - 1:
        return f'{{"user_id":{user_id}}}'
    # 13 and 7 are coprime to the number of names, so that the desks of one hotel are different people.
    return f'{{"user_id":{user_id},"name":{_ENCODED[(org_id * 13 + role * 7) % len(_ENCODED)]}}}'
