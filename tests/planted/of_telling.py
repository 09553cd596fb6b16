"""The bugs of logs and traces, as ``Bug`` takes them: name, promise, file, what is replaced by what, where the suite looks."""

from __future__ import annotations

TELLING = (
    (
        "every refusal is a line",
        "what many calls meet together is told once",
        "adapters/logging/epochs.py",
        "        return sent_ns <= epoch.since_ns\n",
        "        return sent_ns == epoch.since_ns\n",
        ("adapters/logging/test_epochs.py", "adapters/logging/test_instrument.py"),
    ),
    (
        "only line breaks are escaped",
        "nothing that a server says steers a terminal",
        "runtime/logs.py",
        "    if text.isprintable():\n        return text\n",
        '    if "\\n" not in text:\n        return text\n',
        ("adapters/logging/test_formats.py", "adapters/logging/test_instrument.py"),
    ),
    (
        "the name of a success is told",
        "a server that quotes the key finds it in no log",
        "core/observing.py",
        "    named = signals is not None and signals.reason is not _OK and signals.request_id\n",
        "    named = signals is not None and signals.request_id\n",
        ("core/test_observing_told.py", "adapters/logging/test_secrets.py"),
    ),
    (
        "a wait hangs below whoever ended it",
        "a span belongs to the caller of its call",
        "adapters/opentelemetry/spans.py",
        "        self._end(call, event)\n        call.number += 1\n",
        "        self._end(call, event)\n        call.context = self._context_of(event)\n        call.number += 1\n",
        ("adapters/opentelemetry/test_spans.py",),
    ),
    (
        "a span that nobody ends",
        "a cancelled call ends its span",
        "adapters/opentelemetry/spans.py",
        "            Kind.CANCELLED: self._left,\n",
        "",
        ("adapters/opentelemetry/test_spans.py",),
    ),
    (
        "the key as the name of an answer",
        "the key is in no span",
        "adapters/aiohttp/exchange.py",
        "        name=shown(data.get(\"id\")),\n",
        "        name=data.get(\"id\"),\n",
        ("adapters/opentelemetry/test_genai.py",),
    ),
    (
        "told by both",
        "one call is counted once by the conventions for generative AI",
        "adapters/opentelemetry/genai.py",
        "        if not self._always and is_told(self.trace.get_current_span()):\n",
        "        if self._always and is_told(self.trace.get_current_span()):\n",
        ("adapters/opentelemetry/test_genai.py",),
    ),
)
