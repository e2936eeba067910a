/**
 * Spans: which operations the program runs, in which order, and how long they take. Off until a tracer is set; then a span is a
 * plain call. Names and attributes come from fixed sets: never a value, a name of a tenant, or a text that a client sent.
 */

export type SpanAttributes = Readonly<Record<string, string | number | undefined>>;

export interface SpanOptions {
  /** `server`: a request from outside. `client`: a request to another system. Default: neither. */
  readonly kind?: 'server' | 'client';
  /** Default: a span outside of all others is not recorded. Those of kind `server` always begin a trace. */
  readonly begins_trace?: boolean;
  /** W3C Trace Context, as the client sent it. Ignored if it is malformed. */
  readonly traceparent?: string | undefined;
  readonly attributes?: SpanAttributes;
}

export interface Span {
  set(attributes: SpanAttributes): void;
  rename(name: string): void;
  /** `error_type`: from a fixed set, such as an error code. */
  fail(error_type: string): void;
}

export type RunInSpan = <Result>(
  name: string,
  options: SpanOptions,
  act: (span: Span) => Promise<Result>,
) => Promise<Result>;

const NO_SPAN: Span = { set: () => undefined, rename: () => undefined, fail: () => undefined };

let tracer: RunInSpan | undefined;

/** For all parts of this process. `undefined` ends the recording. */
export function setTracer(run: RunInSpan | undefined): void {
  tracer = run;
}

export function isTracing(): boolean {
  return tracer !== undefined;
}

/** Runs `act` in a span, which ends with it. A rejection marks the span as failed, with the code of the error only. */
export function inSpan<Result>(
  name: string,
  options: SpanOptions,
  act: (span: Span) => Promise<Result>,
): Promise<Result> {
  return tracer === undefined ? act(NO_SPAN) : tracer(name, options, act);
}
