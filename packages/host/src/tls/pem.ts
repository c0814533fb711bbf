/** Blocks of a PEM file. What stands between them (names, dumps by tools) is for people and is passed over. */
export interface PemBlock {
  /** `CERTIFICATE`, `PRIVATE KEY`, … */
  readonly label: string;
  /** The block with its frame, as OpenSSL reads it. */
  readonly text: string;
}

const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----[^-]*-----END \1-----/g;

export function pemBlocks(text: string): PemBlock[] {
  return Array.from(text.matchAll(BLOCK), ([block, label]) => ({ label: label!, text: `${block}\n` }));
}

export function isPrivateKeyLabel(label: string): boolean {
  return label === 'PRIVATE KEY' || label.endsWith(' PRIVATE KEY');
}
