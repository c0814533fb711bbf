/**
 * The member list that a cluster is born with: `--initial-cluster`, as `name=url,name=url`. A name may come several
 * times, once per peer URL. Once a member has a log, none of this is looked at again.
 */
import { type EtcdUrl, parseUrls, splitHostPort, urlTexts } from '@etcd/base';

/** Peer URLs by member name, each list sorted by text. */
export type InitialCluster = ReadonlyMap<string, readonly EtcdUrl[]>;

export type ParsedCluster =
  | { readonly cluster: InitialCluster; readonly error?: undefined }
  | { readonly cluster?: undefined; readonly error: string };

/** Finds an address of a host name; rejects when there is none. */
export type ResolveHost = (hostname: string) => Promise<string>;

export interface BootstrapIdentity {
  readonly name: string;
  readonly advertisePeerUrls: readonly EtcdUrl[];
}

export function parseInitialCluster(text: string): ParsedCluster {
  const textsByName = new Map<string, string[]>();
  for (const pair of text.split(',')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = equals < 0 ? pair : pair.slice(0, equals);
    const url = equals < 0 ? '' : pair.slice(equals + 1);
    const texts = textsByName.get(name);
    if (texts === undefined) textsByName.set(name, [url]);
    else texts.push(url);
  }
  const cluster = new Map<string, readonly EtcdUrl[]>();
  for (const [name, texts] of textsByName) {
    const { urls, error } = parseUrls(texts);
    if (error !== undefined) return { error: `error setting up initial cluster: ${error}` };
    cluster.set(name, urls);
  }
  return { cluster };
}

/** The text that etcd prints for a cluster: sorted pairs. */
export function formatInitialCluster(cluster: InitialCluster): string {
  const pairs: string[] = [];
  for (const [name, urls] of cluster) for (const url of urls) pairs.push(`${name}=${url.text}`);
  return pairs.sort().join(',');
}

/** What is wrong with the configuration of a member that founds a cluster, in etcd's words; null when nothing is. */
export async function bootstrapProblem(
  cluster: InitialCluster,
  self: BootstrapIdentity,
  resolveHost: ResolveHost,
): Promise<string | null> {
  const own = cluster.get(self.name);
  if (own === undefined) return unknownNameProblem(self.name);
  const mismatch = await advertiseProblem(own, self, resolveHost);
  if (mismatch !== null) return mismatch;
  return duplicateUrlProblem(cluster);
}

/** {@link bootstrapProblem} for a member that joins: the cluster knows its URLs already, so they are not compared. */
export function joinProblem(cluster: InitialCluster, name: string): string | null {
  if (!cluster.has(name)) return unknownNameProblem(name);
  return duplicateUrlProblem(cluster);
}

function unknownNameProblem(name: string): string {
  return `couldn't find local name ${JSON.stringify(name)} in the initial cluster configuration`;
}

function duplicateUrlProblem(cluster: InitialCluster): string | null {
  const seen = new Set<string>();
  for (const urls of cluster.values()) {
    for (const url of urls) {
      if (seen.has(url.text)) return `initial cluster ${formatInitialCluster(cluster)} has duplicate url`;
      seen.add(url.text);
    }
  }
  return null;
}

/** The member's own entry and what it advertises must be the same places, by name or by address. */
async function advertiseProblem(
  own: readonly EtcdUrl[],
  self: BootstrapIdentity,
  resolveHost: ResolveHost,
): Promise<string | null> {
  const difference = await urlsDifference(self.advertisePeerUrls, own, resolveHost);
  if (difference === null) return null;
  const advertised = urlTexts(self.advertisePeerUrls);
  const listed = urlTexts(own);
  const unadvertised = listed.filter((text) => !advertised.includes(text));
  if (unadvertised.length > 0) {
    const pairs = unadvertised.map((text) => `${self.name}=${text}`).join(',');
    const flag = `--initial-advertise-peer-urls=${advertised.join(',')}`;
    return `--initial-cluster has ${pairs} but missing from ${flag} (${difference})`;
  }
  const ownCluster = formatInitialCluster(new Map([[self.name, self.advertisePeerUrls]]));
  const unlisted = advertised.filter((text) => !listed.includes(text)).join(',');
  if (unlisted !== '') {
    return `--initial-advertise-peer-urls has ${unlisted} but missing from --initial-cluster=${ownCluster}`;
  }
  return `failed to resolve ${advertised.join(',')} to match --initial-cluster=${ownCluster} (${difference})`;
}

async function urlsDifference(
  a: readonly EtcdUrl[],
  b: readonly EtcdUrl[],
  resolveHost: ResolveHost,
): Promise<string | null> {
  if (a.length !== b.length) return `len(${quoteList(a)}) != len(${quoteList(b)})`;
  if (a.every((url, i) => url.text === b[i]!.text)) return null;
  try {
    const left = await Promise.all(a.map((url) => resolvedText(url, resolveHost)));
    const right = await Promise.all(b.map((url) => resolvedText(url, resolveHost)));
    left.sort();
    right.sort();
    const at = left.findIndex((text, i) => text !== right[i]);
    if (at < 0) return null;
    return `resolved urls: ${JSON.stringify(left[at])} != ${JSON.stringify(right[at])}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

async function resolvedText(url: EtcdUrl, resolveHost: ResolveHost): Promise<string> {
  const parts = splitHostPort(url.host);
  // `localhost` stands for itself, as in etcd: it may be another address on every machine.
  if (parts === null || parts.hostname === 'localhost') return url.text;
  let address: string;
  try {
    address = await resolveHost(parts.hostname);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`failed to resolve ${JSON.stringify(url.text)} (${reason})`);
  }
  const host = address.includes(':') ? `[${address}]` : address;
  return url.text.replace(url.host, `${host}:${parts.port}`);
}

/** The place that a peer URL of another member names, its host by address; the text itself where that can't be found out. */
export async function resolvedUrlText(text: string, resolveHost: ResolveHost): Promise<string> {
  const { urls, error } = parseUrls([text]);
  if (error !== undefined) return text;
  try {
    return await resolvedText(urls[0]!, resolveHost);
  } catch {
    return text;
  }
}

function quoteList(urls: readonly EtcdUrl[]): string {
  return `[${urls.map((url) => JSON.stringify(url.text)).join(' ')}]`;
}
