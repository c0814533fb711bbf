/** Where a collector listens, as `--distributed-tracing-address` has it. */

export interface CollectorAddress {
  /** Name or address, an IPv6 one without its brackets. */
  readonly host: string;
  readonly port: number;
}

/** gRPC's own, where an address has none. */
const DEFAULT_PORT = 443;
const MAX_PORT = 65_535;

/** `host:port`, `[address]:port` or a host alone. Null: it is none of these. */
export function parseCollectorAddress(text: string): CollectorAddress | null {
  const match = /^(?:\[([0-9A-Fa-f]*:[0-9A-Fa-f:.]*(?:%[^\]\s]+)?)\]|([^\s:/[\]]+))(?::(\d{1,5}))?$/.exec(
    text,
  );
  if (match === null) return null;
  const [, bracketed, plain, portText] = match;
  const port = portText === undefined ? DEFAULT_PORT : Number(portText);
  if (port === 0 || port > MAX_PORT) return null;
  return { host: bracketed ?? plain!, port };
}
