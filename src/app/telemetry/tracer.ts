/**
 * Records spans with OpenTelemetry. Exports of an error its code only: its message may quote input. Of the trace context
 * of a client, `traceparent` is used; `tracestate` and baggage are free text and are not.
 */
import {
  type Context,
  type ContextManager,
  type Span as OtelSpan,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { parseTraceParent } from '@opentelemetry/core';
import { toPublicError } from '../../contract/errors.ts';
import type { RunInSpan, Span, SpanAttributes, SpanOptions } from '../../io/tracing/span.ts';

const KINDS = { server: SpanKind.SERVER, client: SpanKind.CLIENT } as const;

export function createTracer(tracer: Tracer, contexts: ContextManager): RunInSpan {
  return async (name, options, act) => {
    const { kind, begins_trace = kind === 'server' } = options;
    const active = contexts.active();
    const around = trace.getSpanContext(active);
    if (around === undefined && !begins_trace) return act(new RecordedSpan(undefined));
    const parent = parentOf(options, active);
    const span = tracer.startSpan(
      name,
      {
        kind: kind === undefined ? SpanKind.INTERNAL : KINDS[kind],
        attributes: defined(options.attributes ?? {}),
        // MCP over HTTP: the span of the HTTP request, if the message names another parent.
        links: around === undefined || parent === active ? [] : [{ context: around }],
      },
      parent,
    );
    const recorded = new RecordedSpan(span);
    try {
      return await contexts.with(trace.setSpan(parent, span), act, undefined, recorded);
    } catch (error) {
      recorded.fail(toPublicError(error).code);
      throw error;
    } finally {
      span.end();
    }
  };
}

/** The parent that the client names, else the active span. */
function parentOf({ traceparent }: SpanOptions, active: Context): Context {
  const remote = traceparent === undefined ? null : parseTraceParent(traceparent);
  if (remote === null) return active;
  return trace.setSpanContext(ROOT_CONTEXT, { ...remote, isRemote: true });
}

class RecordedSpan implements Span {
  readonly #span: OtelSpan | undefined;

  constructor(span: OtelSpan | undefined) {
    this.#span = span;
  }

  set(attributes: SpanAttributes): void {
    this.#span?.setAttributes(defined(attributes));
  }

  rename(name: string): void {
    this.#span?.updateName(name);
  }

  fail(error_type: string): void {
    this.#span?.setAttribute('error.type', error_type);
    this.#span?.setStatus({ code: SpanStatusCode.ERROR });
  }
}

function defined(attributes: SpanAttributes): Record<string, string | number> {
  const kept: Record<string, string | number> = {};
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) kept[name] = value;
  return kept;
}
