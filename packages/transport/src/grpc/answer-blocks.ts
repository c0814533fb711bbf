/**
 * The header blocks of answers. Nearly all answers of a connection begin and end with the same two blocks;
 * they are encoded once, and again only when the encoder's table has changed.
 */
import { type HpackEncoder, Indexing } from '../hpack/hpack-encoder.ts';
import type { Metadata } from './metadata.ts';
import { encodeMetadataValue } from './metadata.ts';
import { encodeGrpcMessage } from './status.ts';

const NO_VERSION = -1;

export class AnswerBlocks {
  readonly #encoder: HpackEncoder;
  #headers: Uint8Array = new Uint8Array(0);
  #headersVersion = NO_VERSION;
  #headersContentType = '';
  #okTrailers: Uint8Array = new Uint8Array(0);
  #okTrailersVersion = NO_VERSION;

  constructor(encoder: HpackEncoder) {
    this.#encoder = encoder;
  }

  /**
   * The block of a usual answer's headers. Blocks are to be sent in the order in which they were asked for.
   */
  headers(contentType: string): Uint8Array {
    const encoder = this.#encoder;
    if (this.#headersVersion === encoder.version && this.#headersContentType === contentType)
      return this.#headers;
    const versionBefore = encoder.version;
    encoder.begin();
    this.#addHeaders('200', contentType);
    const block = Buffer.from(encoder.finish());
    // A block that has put something into the table is good for one time only.
    if (encoder.version !== versionBefore) return block;
    this.#headers = block;
    this.#headersVersion = versionBefore;
    this.#headersContentType = contentType;
    return this.#headers;
  }

  /** The block of the trailers of a call that went well. */
  okTrailers(): Uint8Array {
    const encoder = this.#encoder;
    if (this.#okTrailersVersion === encoder.version) return this.#okTrailers;
    const versionBefore = encoder.version;
    encoder.begin();
    encoder.add('grpc-status', '0', Indexing.INCREMENTAL);
    const block = Buffer.from(encoder.finish());
    if (encoder.version !== versionBefore) return block;
    this.#okTrailers = block;
    this.#okTrailersVersion = versionBefore;
    return this.#okTrailers;
  }

  /** Headers with metadata of the application. */
  headersWith(contentType: string, metadata: Metadata): Uint8Array {
    this.#encoder.begin();
    this.#addHeaders('200', contentType);
    this.#addMetadata(metadata);
    return this.#encoder.finish();
  }

  /** Trailers behind headers that were sent. */
  trailers(code: number, message: string, metadata: Metadata): Uint8Array {
    this.#encoder.begin();
    this.#addStatus(code, message);
    this.#addMetadata(metadata);
    return this.#encoder.finish();
  }

  /** An answer that is nothing but a status. */
  trailersOnly(
    httpStatus: number,
    contentType: string,
    code: number,
    message: string,
    metadata: Metadata,
  ): Uint8Array {
    this.#encoder.begin();
    this.#addHeaders(String(httpStatus), contentType);
    this.#addStatus(code, message);
    this.#addMetadata(metadata);
    return this.#encoder.finish();
  }

  #addHeaders(httpStatus: string, contentType: string): void {
    this.#encoder.add(':status', httpStatus, Indexing.NONE);
    this.#encoder.add('content-type', contentType, Indexing.INCREMENTAL);
  }

  #addStatus(code: number, message: string): void {
    this.#encoder.add('grpc-status', String(code), code === 0 ? Indexing.INCREMENTAL : Indexing.NONE);
    if (message !== '') this.#encoder.add('grpc-message', encodeGrpcMessage(message), Indexing.NONE);
  }

  #addMetadata(metadata: Metadata): void {
    for (const [name, value] of metadata) {
      this.#encoder.add(name, encodeMetadataValue(name, value), Indexing.NONE);
    }
  }
}
