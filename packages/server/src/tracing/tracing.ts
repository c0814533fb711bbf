/** The SDK of OpenTelemetry around the calls of a member. */
import net from 'node:net';
import type { Clock, Logger, Random } from '@etcd/base';
import {
  type CallObserver,
  type CallTrace,
  type GrpcServer,
  type ServerCall,
  socketDuplex,
} from '@etcd/transport';
import type { Attributes } from '@opentelemetry/api';
import { detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor } from '@opentelemetry/sdk-trace';
import { type Config, ETCD_VERSION, MemberStartError } from '../config/index.ts';
import { CallSpans } from './call-spans.ts';
import { parseCollectorAddress } from './collector-address.ts';
import { OtlpExporter } from './otlp-exporter.ts';
import { SpanRecorder } from './recorded-span.ts';

export interface TracingOptions {
  readonly config: NonNullable<Config['tracing']>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: Random;
}

/** Tracing that is on. */
export interface Tracing {
  /** Follows the calls of all methods that are registered by now, beside whoever follows them already. */
  observe(grpc: GrpcServer): void;
  /** Sends what is still waiting, for a bounded time. Never rejects. */
  stop(): Promise<void>;
}

const SCOPE = 'etcd-typescript';
/** Spans that wait; more are lost. */
const MAX_QUEUED_SPANS = 2048;
/** They are encoded in one go, in which the member does nothing else. */
const MAX_BATCH_SPANS = 256;
const BATCH_DELAY_MS = 5000;
/** Beyond what the attempts of a batch may take. */
const BATCH_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 3000;

/** Nothing is sent before the first batch. Throws {@link MemberStartError} when the address is none. */
export function startTracing({ config, clock, logger, random }: TracingOptions): Tracing {
  const { address, samplesPerMillion, serviceName, instanceId } = config;
  const target = parseCollectorAddress(address);
  if (target === null) {
    throw new MemberStartError(
      `--distributed-tracing-address: ${JSON.stringify(address)} is not the address of a collector, host:port`,
    );
  }
  const exporter = new OtlpExporter({
    clock,
    logger,
    address,
    connect: () => socketDuplex(net.connect(target)),
  });
  const processor = new BatchSpanProcessor({
    exporter,
    maxQueueSize: MAX_QUEUED_SPANS,
    maxExportBatchSize: MAX_BATCH_SPANS,
    scheduledDelayMillis: BATCH_DELAY_MS,
    exportTimeoutMillis: BATCH_TIMEOUT_MS,
  });
  const attributes: Attributes = { 'service.name': serviceName };
  if (instanceId !== '') attributes['service.instance.id'] = instanceId;
  const recorder = new SpanRecorder({
    clock,
    random,
    resource: detectResources({ detectors: [envDetector] }).merge(resourceFromAttributes(attributes)),
    scope: { name: SCOPE, version: ETCD_VERSION },
    processor,
  });
  const spans = new CallSpans({ recorder, random, samplesPerMillion });
  logger.info('distributed tracing is enabled', {
    address,
    'service-name': serviceName,
    'service-instance-id': instanceId,
    'sampling-rate': samplesPerMillion,
  });
  return {
    observe: (grpc) => observe(grpc, spans),
    stop: () => stop(processor, exporter, clock),
  };
}

function observe(grpc: GrpcServer, spans: CallSpans): void {
  for (const method of grpc.methods) {
    method.observer = method.observer === null ? spans : new BothObservers(method.observer, spans);
  }
}

async function stop(processor: BatchSpanProcessor, exporter: OtlpExporter, clock: Clock): Promise<void> {
  exporter.hurry();
  const timeout = Promise.withResolvers<void>();
  const timer = clock.setTimer(STOP_TIMEOUT_MS, timeout.resolve);
  // What can't be sent is told by the exporter.
  const flushed = processor.shutdown().catch(() => {});
  await Promise.race([flushed, timeout.promise]);
  timer.cancel();
  exporter.close();
}

/** For metrics and spans of the same calls. */
class BothObservers implements CallObserver {
  readonly #first: CallObserver;
  readonly #second: CallObserver;

  constructor(first: CallObserver, second: CallObserver) {
    this.#first = first;
    this.#second = second;
  }

  begin(call: ServerCall): CallTrace | null {
    const first = this.#first.begin(call);
    const second = this.#second.begin(call);
    if (first === null || second === null) return first ?? second;
    return {
      parts: first.parts ?? second.parts,
      onEnd: (code, message) => {
        first.onEnd(code, message);
        second.onEnd(code, message);
      },
    };
  }
}
