"""Addresses are judged before any driver sees them, and no refusal repeats a part of one."""

import pytest

from pipeline.errors import SettingsRefused
from pipeline.settings import load

ACCEPTED = {
    "FOLIO_DATABASE_URL": [
        "postgresql://folio:p%40ss%2Fword@db:5432/folio?sslmode=verify-full&sslrootcert=/etc/ca.pem",
        "postgresql://folio@/folio?host=/run/postgresql&port=5432",
        "postgresql:///folio",
        "postgres://u@[::1]:5432/d",
        "postgresql://u:p@one:5432,two:5433/d",
        "postgresql://h/d",
    ],
    "FOLIO_KAFKA_BOOTSTRAP": [
        "a:9092",
        "a:9092,b:9092",
        "[::1]:9092",
        "tls://a:9093",
        "sasl://folio:secret@a:9092,b:9092",
        "sasl+tls://folio:p%40ss@a:9094?ca=/x&mechanism=PLAIN",
        "tls://a:9093?certificate=/c&key=/k",
    ],
    "FOLIO_REDIS_URL": [
        "redis://127.0.0.1:6379/0",
        "redis://:secret@h/0",
        "rediss://folio:s%2Fecret@h:6380/0?ssl_ca_certs=/etc/ca.pem",
        "unix:///run/redis.sock?db=0",
    ],
}
# The mistakes that people make, each with a secret in it.
REFUSED = {
    "FOLIO_DATABASE_URL": [
        "postgresql://u:s3c/ret@h:5432/d",
        "postgresql://u:s3c@ret@h/d",
        "postgresql://u@corp:s3cret@h/d",
        "postgresql://u:s3c#ret@h/d",
        "postgresql://u:s3c?ret@h/d",
        "postgresql://u:s3cret",
        "mysql://u:s3cret@h/d",
        "u:s3cret@h/d",
        "s3cret",
    ],
    "FOLIO_KAFKA_BOOTSTRAP": [
        "folio:s3cret@a:9092",
        "s3cret",
        "sasl://folio:s3c/ret@a:9092",
        "sasl://folio:s3c?ret@a:9092",
        "sasl://fo@lio:s3cret@a:9092",
        "sasl://folio:s3c%ret@a:9092",
        "sasl://folio:s3cret",
        "tls://folio:s3cret@a:9093",
        "ssl://folio:s3cret@a:9093",
        "sasl://folio:s3cret@a:9092?ca=/x",
        "sasl://folio:s3cret@a:9092?mechanism=PLAIN",
        "sasl+tls://folio:s3cret@a:9092?mechanism=GSSAPI",
        "tls://a:9093?mechanism=SCRAM-SHA-512&password=s3cret",
        "tls://a:9093?key=/k",
        "tls://?ca=/x",
        "tls://a:9093/path",
        "sasl://a:9092",
    ],
    "FOLIO_REDIS_URL": [
        "redis://:s3c/ret@h/0",
        "redis://u:s3c@ret@h/0",
        "redis://u:s3cret",
        "http://u:s3cret@h",
        "s3cret",
    ],
}


@pytest.mark.parametrize(("name", "address"), [(name, each) for name, all_ in ACCEPTED.items() for each in all_])
def test_what_people_write_is_accepted(name: str, address: str) -> None:
    load({name: address})


@pytest.mark.parametrize(("name", "address"), [(name, each) for name, all_ in REFUSED.items() for each in all_])
def test_a_mistake_is_refused_by_name_without_a_piece_of_the_address(name: str, address: str) -> None:
    with pytest.raises(SettingsRefused) as refused:
        load({name: address})
    assert str(refused.value).startswith(f"{name}=*** is refused: ")
    assert not any(piece in str(refused.value) for piece in ("s3c", "ret@", "cret"))
