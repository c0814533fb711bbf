/**
 * Backups in a bucket of S3, or of any store that speaks as S3 does, through the makers' SDK. A file is uploaded in parts, of which nothing is to be seen
 * before the last; an upload that fails is called off, and what the store says it has got is compared with what was sent.
 */
import { PassThrough, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import {
  AbortMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  paginateListObjectsV2,
  S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { BackupError } from './backup-error.ts';
import { abortable, type Content } from './content.ts';
import { Meter } from './meter.ts';
import type { ObjectStore } from './object-store.ts';
import type { S3Address } from './store-address.ts';

/** A file has at most 10,000 parts: 78 GiB, where a database has its limit at 8. */
const PART_BYTES = 8 << 20;
/** Parts that are held in memory and under way at once. */
const CONCURRENT_PARTS = 2;
const DEFAULT_REGION = 'us-east-1';
const MAX_ATTEMPTS = 4;
const CONNECT_TIMEOUT_MS = 10_000;
/** So long a store may say nothing. */
const SILENCE_TIMEOUT_MS = 60_000;

export class S3Store implements ObjectStore {
  readonly address: string;
  readonly #settings: S3Address;
  readonly #client: S3Client;

  constructor(settings: S3Address, client: S3Client = newClient(settings)) {
    this.#settings = settings;
    this.address = `s3://${settings.bucket}/${settings.prefix}`.replace(/\/$/, '');
    this.#client = client;
  }

  /** A bucket has an owner and rules: it is not made here. */
  async prepare(): Promise<void> {
    const { bucket: Bucket } = this.#settings;
    await this.#told('', () => this.#client.send(new HeadBucketCommand({ Bucket })));
  }

  async files(): Promise<Map<string, number>> {
    const { bucket: Bucket, prefix: Prefix } = this.#settings;
    return await this.#told('', async () => {
      const files = new Map<string, number>();
      const pages = paginateListObjectsV2({ client: this.#client }, { Bucket, Prefix, Delimiter: '/' });
      for await (const { Contents = [] } of pages) {
        for (const { Key = '', Size = 0 } of Contents) files.set(Key.slice(Prefix.length), Size);
      }
      return files;
    });
  }

  async read(name: string): Promise<Content> {
    return await this.#told(name, async () => {
      const { Body } = await this.#client.send(new GetObjectCommand(this.#key(name)));
      if (!(Body instanceof Readable)) throw new BackupError('the store answers without a content');
      return Body;
    });
  }

  async write(name: string, content: Content, signal?: AbortSignal): Promise<void> {
    await this.#told(name, async () => {
      if ((await this.#length(name)) !== null) throw new BackupError('is there already');
    });
    const meter = new Meter();
    await this.#upload(name, copies(meter.measure(content)), signal);
    await this.#told(name, async () => {
      const length = await this.#length(name);
      if (length === meter.byteCount) return;
      await this.#client.send(new DeleteObjectCommand(this.#key(name)));
      throw new BackupError(
        `the store has ${length ?? 'nothing'} of ${meter.byteCount} bytes that it accepted`,
      );
    });
  }

  /** Throws what is wrong with the content as it is. */

  async #upload(name: string, content: Content, signal: AbortSignal | undefined): Promise<void> {
    const { serverSideEncryption, storageClass } = this.#settings;
    const body = new PassThrough({ highWaterMark: 1 << 20 });
    const upload = new Upload({
      client: this.#client,
      partSize: PART_BYTES,
      queueSize: CONCURRENT_PARTS,
      leavePartsOnError: false,
      params: {
        ...this.#key(name),
        Body: body,
        ...(serverSideEncryption === null ? {} : { ServerSideEncryption: serverSideEncryption as 'AES256' }),
        ...(storageClass === null ? {} : { StorageClass: storageClass as 'STANDARD' }),
      },
    });
    // What is wrong with the content is the cause of a failed upload, and a failed upload that of parts which nobody takes.
    let cause: unknown = null;
    const failed = (error: unknown): never => {
      cause ??= error;
      throw error;
    };
    const source = Readable.from(abortable(content, signal), { objectMode: false });
    const sent = pipeline(source, body).catch((error: Error) => {
      // A body that ends early would be taken for a whole one.
      body.destroy(error);
      return failed(error);
    });
    const taken = this.#told(name, () => upload.done()).catch((error: Error) => {
      body.destroy(error);
      return failed(error);
    });
    await Promise.allSettled([sent, taken]);
    if (cause !== null) throw cause;
  }

  async remove(name: string): Promise<void> {
    await this.#told(name, () => this.#client.send(new DeleteObjectCommand(this.#key(name))));
  }

  /** Parts of an upload whose process was killed lie in the store, unseen and paid for, until somebody calls it off. */
  async removeUnfinished(beforeMs: number): Promise<number> {
    const { bucket: Bucket, prefix: Prefix } = this.#settings;
    return await this.#told('', async () => {
      const { Uploads = [] } = await this.#client.send(new ListMultipartUploadsCommand({ Bucket, Prefix }));
      let count = 0;
      for (const { Key = '', UploadId, Initiated } of Uploads) {
        const isOurs = Key.slice(Prefix.length).startsWith('etcd-');
        if (!isOurs || Initiated === undefined || Initiated.getTime() >= beforeMs) continue;
        await this.#client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
        count++;
      }
      return count;
    });
  }

  below(name: string): S3Store {
    return new S3Store({ ...this.#settings, prefix: `${this.#settings.prefix}${name}/` }, this.#client);
  }

  close(): void {
    this.#client.destroy();
  }

  #key(name: string): { Bucket: string; Key: string } {
    return { Bucket: this.#settings.bucket, Key: this.#settings.prefix + name };
  }

  /** Null: there is none. */
  async #length(name: string): Promise<number | null> {
    try {
      const { ContentLength } = await this.#client.send(new HeadObjectCommand(this.#key(name)));
      return ContentLength ?? 0;
    } catch (error) {
      if (error instanceof S3ServiceException && error.$metadata.httpStatusCode === 404) return null;
      throw error;
    }
  }

  /** What the SDK throws as an error for the operator, with the name of the file. */
  async #told<T>(name: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const what = name === '' ? this.address : `${this.address}/${name}`;
      if (error instanceof BackupError) throw new BackupError(`${what}: ${error.message}`);
      throw new BackupError(`${what}: ${wordsOf(error as Error)}`);
    }
  }
}

/** The SDK holds what it is given until it is sent. */
async function* copies(content: Content): AsyncGenerator<Buffer, void, void> {
  for await (const piece of content) yield Buffer.from(piece);
}

function newClient(settings: S3Address): S3Client {
  const region = settings.region ?? process.env['AWS_REGION'] ?? process.env['AWS_DEFAULT_REGION'];
  return new S3Client({
    region: region ?? DEFAULT_REGION,
    ...(settings.endpoint === null ? {} : { endpoint: settings.endpoint }),
    forcePathStyle: settings.hasPathStyle,
    maxAttempts: MAX_ATTEMPTS,
    // Stores that are not Amazon's know nothing of the newer checksums; the content is sealed and hashed here.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: { connectionTimeout: CONNECT_TIMEOUT_MS, socketTimeout: SILENCE_TIMEOUT_MS },
  });
}

/** The SDK's messages are often empty, or the word UnknownError; then name and status say more. */
function wordsOf(error: Error): string {
  if (!(error instanceof S3ServiceException)) return error.message || error.name;
  const status = error.$metadata.httpStatusCode;
  const message = error.message && error.message !== 'UnknownError' ? `: ${error.message}` : '';
  return `${error.name}${message}${status === undefined ? '' : ` [status: ${status}]`}`;
}
