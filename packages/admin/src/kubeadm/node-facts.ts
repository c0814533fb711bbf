/** What kubeadm asks the machine when nobody has told it. */
import { readFileSync } from 'node:fs';
import { hostname, networkInterfaces } from 'node:os';

export interface NodeFacts {
  readonly hostName: string;
  /** Of the interface that leads out of here; null when none does. */
  readonly address: string | null;
}

export function nodeFacts(routes: string = readRoutes()): NodeFacts {
  return { hostName: hostname().trim().toLowerCase(), address: addressOf(defaultInterface(routes)) };
}

function readRoutes(): string {
  try {
    return readFileSync('/proc/net/route', 'utf8');
  } catch {
    return '';
  }
}

/** The interface whose route is for everything, in the kernel's table; null when there is none. */
export function defaultInterface(routes: string): string | null {
  for (const line of routes.split('\n').slice(1)) {
    const [name, destination, , , , , , mask] = line.split(/\s+/);
    if (destination === '00000000' && mask === '00000000') return name!;
  }
  return null;
}

function addressOf(name: string | null): string | null {
  const addresses = name === null ? [] : (networkInterfaces()[name] ?? []);
  return addresses.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? null;
}
