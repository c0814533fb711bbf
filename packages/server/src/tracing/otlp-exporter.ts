/**
 * Sends spans to a collector: OTLP over gRPC, through this project's own transport. A connection is opened by the first batch, and again by
 * the next one after it was lost. A batch that the collector can't take now is tried again, a few times; then it is lost, which is told
 * once until a batch arrives again.
 */

import { type Clock, GrpcCode, grpcCodeName, type Logger, type Timer } from '@etcd/base';
import { type Duplex, GrpcChannel } from '@etcd/transport';
import { type ExportResult, ExportResultCode } from '@opentelemetry/core';
import { ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer';
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace';

export interface OtlpExporterOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** `host:port` of the collector, as it is told to it and to the log. */
  readonly address: string;
  /** Opens a connection, which may still be under way. */
  readonly connect: () => Duplex;
}

type Done = (result: ExportResult) => void;

interface Batch {
  readonly bytes: Uint8Array;
  readonly spanCount: number;
  readonly done: Done;
  attemptCount: number;
  timer: Timer | null;
}

const EXPORT = '/opentelemetry.proto.collector.trace.v1.TraceService/Export';
const ATTEMPT_TIMEOUT_MS = 10_000;
const MAX_ATTEMPTS = 3;
/** Before the second attempt; twice as long before each one after it. */
const RETRY_DELAY_MS = 1000;
/** What the protocol allows to be sent again. */
const RETRYABLE: ReadonlySet<number> = new Set([
  GrpcCode.Canceled,
  GrpcCode.DeadlineExceeded,
  GrpcCode.Aborted,
  GrpcCode.OutOfRange,
  GrpcCode.Unavailable,
  GrpcCode.DataLoss,
]);

export class OtlpExporter implements SpanExporter {
  readonly #options: OtlpExporterOptions;
  /** Those that wait for their next attempt. */
  readonly #waiting = new Set<Batch>();
  #channel: GrpcChannel | null = null;
  #isFailing = false;
  #isClosing = false;

  constructor(options: OtlpExporterOptions) {
    this.#options = options;
  }

  export(spans: ReadableSpan[], done: Done): void {
    const bytes = ProtobufTraceSerializer.serializeRequest(spans);
    if (bytes === undefined) {
      done({ code: ExportResultCode.FAILED, error: new Error('the spans can not be encoded') });
      return;
    }
    this.#attempt({ bytes, spanCount: spans.length, done, attemptCount: 0, timer: null });
  }

  /** From now on each batch has one attempt: whoever stops can't wait. */
  hurry(): void {
    this.#isClosing = true;
    for (const batch of this.#waiting) {
      batch.timer?.cancel();
      this.#attempt(batch);
    }
    this.#waiting.clear();
  }

  /** Ends the connection; batches that are under way are lost. */
  close(): void {
    this.hurry();
    this.#channel?.close();
    this.#channel = null;
  }

  async shutdown(): Promise<void> {
    this.close();
  }

  #attempt(batch: Batch): void {
    batch.attemptCount++;
    const channel = this.#connected();
    channel.unary(EXPORT, batch.bytes, (code, message) => this.#onAnswer(batch, code, message), {
      timeoutMs: ATTEMPT_TIMEOUT_MS,
    });
  }

  #onAnswer(batch: Batch, code: number, message: string): void {
    if (code === GrpcCode.OK) {
      if (this.#isFailing) this.#options.logger.info('traces are sent again', this.#fields());
      this.#isFailing = false;
      batch.done({ code: ExportResultCode.SUCCESS });
      return;
    }
    if (RETRYABLE.has(code) && batch.attemptCount < MAX_ATTEMPTS && !this.#isClosing) {
      const delayMs = RETRY_DELAY_MS * 2 ** (batch.attemptCount - 1);
      this.#waiting.add(batch);
      batch.timer = this.#options.clock.setTimer(delayMs, () => {
        this.#waiting.delete(batch);
        this.#attempt(batch);
      });
      return;
    }
    const error = `${grpcCodeName(code)}: ${message}`;
    if (!this.#isFailing) {
      const fields = { ...this.#fields(), spans: batch.spanCount, error };
      this.#options.logger.warn(
        'traces can not be sent; they are lost until the collector takes them',
        fields,
      );
    }
    this.#isFailing = true;
    batch.done({ code: ExportResultCode.FAILED, error: new Error(error) });
  }

  #fields(): { readonly address: string } {
    return { address: this.#options.address };
  }

  #connected(): GrpcChannel {
    if (this.#channel?.isOpen) return this.#channel;
    const { clock, address, connect } = this.#options;
    const channel = new GrpcChannel(connect(), { clock, authority: address });
    this.#channel = channel;
    return channel;
  }
}
