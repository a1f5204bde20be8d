"""The page as a text: nothing that a name holds becomes markup, and nothing is fetched."""

from __future__ import annotations

import json
import re

import pytest

from neuroattn.explorer.contents import contents
from neuroattn.explorer.page import SCRIPT, STYLE, as_json, page

from .conftest import TUNED

EVIL = "</script><img src=x onerror=alert(1)>&<!--"


def test_names_cannot_leave_the_data(units, recording):
    renamed = units.rename(columns={"gain": EVIL}).assign(excluded_by=EVIL)
    text = page(contents(EVIL, renamed, recording, TUNED, notes=[EVIL]), ((EVIL, EVIL),))
    assert "<img" not in text
    assert text.count("</script>") == text.count("<script")
    head = json.loads(re.search(r'id="head">(.*?)</script>', text, re.DOTALL)[1])
    assert (head["title"], head["links"]) == (EVIL, [[EVIL, EVIL]])


def test_json_keeps_what_it_says():
    value = {"<a>": ["&", "\u2028", 1.5, None]}
    assert json.loads(as_json(value)) == value
    assert not set("<>&\u2028") & set(as_json(value))


def test_json_has_no_words_for_numbers_that_are_none():
    with pytest.raises(ValueError, match="Out of range float values are not JSON compliant"):
        as_json(float("nan"))


def test_the_page_names_nothing_to_fetch(units, recording):
    text = page(contents("title", units, recording, TUNED))
    assert not re.search(r'(src|href)="(?!data:|#)|url\(|@import|\bfetch\(|XMLHttpRequest', text)
    assert "default-src 'none'" in text


def test_no_data_becomes_markup():
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", SCRIPT.read_text())
    assert "</script" not in SCRIPT.read_text()
    assert "</style" not in STYLE.read_text()
