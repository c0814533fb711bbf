/**
 * Spans of the calls that clients make, sent to a collector of OpenTelemetry. Loaded only where tracing is on. It owes the calls that it
 * never holds one up: spans wait in a queue with a bound, and what does not fit in, or can't be sent, is lost.
 */
export { startTracing, type Tracing, type TracingOptions } from './tracing.ts';
