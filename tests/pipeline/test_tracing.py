"""Tracing is off unless asked for, and asked for in vain it says what is missing."""

import sys

import pytest
from opentelemetry import trace
from opentelemetry.trace import ProxyTracerProvider

from pipeline.errors import SettingsRefused
from pipeline.settings import TracingSettings
from pipeline.tracing import start_tracing


def test_without_the_packages_it_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(SettingsRefused, match=r"FOLIO_TRACING_EXPORTER=otlp needs .*foliostream\[tracing\]"):
        start_tracing(TracingSettings(exporter="otlp"), "worker")


def test_by_default_nothing_is_set_up() -> None:
    start_tracing(TracingSettings(), "worker")(0)
    assert isinstance(trace.get_tracer_provider(), ProxyTracerProvider)
