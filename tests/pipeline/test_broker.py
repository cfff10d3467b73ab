"""The broker's address: what each form gives a client."""

import ssl
from pathlib import Path
from typing import Any

import pytest

from pipeline.broker import broker_options, servers_of
from pipeline.errors import SettingsRefused


def plain(address: str) -> dict[str, Any]:
    """The options, with the context of TLS replaced by whether there is one."""
    options = broker_options(address)
    context = options.pop("ssl_context", None)
    if context is not None:
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
    return options


def test_hosts_alone_are_reached_in_the_clear() -> None:
    assert plain("a:9092,b:9092") == {"bootstrap_servers": "a:9092,b:9092", "security_protocol": "PLAINTEXT"}


def test_tls_is_checked_against_what_the_machine_trusts() -> None:
    assert plain("tls://a:9093") == {"bootstrap_servers": "a:9093", "security_protocol": "SSL"}


def test_a_login_is_scram_unless_told_otherwise_and_may_be_percent_encoded() -> None:
    assert plain("sasl://folio:p%40ss%2Fword@a:9092,b:9092") == {
        "bootstrap_servers": "a:9092,b:9092",
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "folio",
        "sasl_plain_password": "p@ss/word",
    }
    both = plain("sasl+tls://folio:secret@a:9094?mechanism=SCRAM-SHA-256")
    assert (both["security_protocol"], both["sasl_mechanism"]) == ("SASL_SSL", "SCRAM-SHA-256")


def test_people_are_shown_hosts_and_no_login() -> None:
    assert servers_of("sasl+tls://folio:secret@a:9094,b:9094?ca=/x") == "a:9094,b:9094"


def test_a_file_that_is_missing_or_no_certificate_is_named(tmp_path: Path) -> None:
    missing, junk = tmp_path / "missing.pem", tmp_path / "junk.pem"
    junk.write_text("no certificate")
    with pytest.raises(SettingsRefused, match=r"missing\.pem, and there is no such file"):
        broker_options(f"tls://a:9093?ca={missing}")
    with pytest.raises(SettingsRefused, match=r"junk\.pem: .* PEM files are expected"):
        broker_options(f"tls://a:9093?ca={junk}")
