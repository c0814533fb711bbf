/** Where a store is, as operators write it: the path of a directory, or `s3://bucket/prefix?endpoint=…`. */
import { resolve } from 'node:path';
import { BackupError } from './backup-error.ts';

export type StoreAddress =
  | { readonly kind: 'directory'; readonly path: string }
  | ({ readonly kind: 's3' } & S3Address);

export interface S3Address {
  readonly bucket: string;
  /** Empty, or with a slash at its end. */
  readonly prefix: string;
  /** Null: Amazon's, or that of the environment. */
  readonly endpoint: string | null;
  readonly region: string | null;
  /** The bucket in the path and not in the name of the host, as stores of one's own have it. */
  readonly hasPathStyle: boolean;
  /** What the store encrypts with by itself (`AES256`, `aws:kms`); null: as the bucket says. */
  readonly serverSideEncryption: string | null;
  readonly storageClass: string | null;
}

const S3_SETTINGS = new Set(['endpoint', 'region', 'path-style', 'sse', 'storage-class']);
const SCHEME = /^([a-z][a-z0-9+.-]*):\/\//i;

/** Throws {@link BackupError}. */
export function parseStoreAddress(text: string): StoreAddress {
  if (text === '') throw new BackupError('the store of the backups has no address');
  const scheme = SCHEME.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined) return { kind: 'directory', path: resolve(text) };
  if (scheme === 'file') return { kind: 'directory', path: resolve(text.slice('file://'.length)) };
  if (scheme !== 's3') throw new BackupError(`${text}: a store is a directory or s3://BUCKET/PREFIX`);
  return { kind: 's3', ...parseS3(text) };
}

function parseS3(text: string): S3Address {
  if (!URL.canParse(text)) throw new BackupError(`${text}: not an address of a store`);
  const url = new URL(text);
  const refuse = (problem: string): never => {
    throw new BackupError(`s3://${url.host}${url.pathname}: ${problem}`);
  };
  if (url.username !== '' || url.password !== '') {
    refuse('keys do not belong into an address; the SDK takes them from its environment and files');
  }
  if (url.host === '') refuse('the bucket is missing');
  for (const name of url.searchParams.keys()) if (!S3_SETTINGS.has(name)) refuse(`unknown setting ${name}`);
  const setting = (name: string): string | null => url.searchParams.get(name) || null;
  const endpoint = setting('endpoint');
  if (endpoint !== null && !/^https?:$/.test(URL.parse(endpoint)?.protocol ?? '')) {
    refuse(`the endpoint ${endpoint} is no URL of http or https`);
  }
  const style = setting('path-style') ?? String(endpoint !== null);
  if (style !== 'true' && style !== 'false') refuse('path-style is true or false');
  const path = decodeURIComponent(url.pathname).replace(/^\/+|\/+$/g, '');
  return {
    bucket: url.host,
    prefix: path === '' ? '' : `${path}/`,
    endpoint,
    region: setting('region'),
    hasPathStyle: style === 'true',
    serverSideEncryption: setting('sse'),
    storageClass: setting('storage-class'),
  };
}
