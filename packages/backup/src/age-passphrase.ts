/**
 * Whoever has a passphrase, as a recipient of the age format: the key of a file is sealed with one that scrypt makes of the passphrase. The
 * package would do the same, but then it tells nobody the key of the file, and asking for it costs a second scrypt.
 */
import { createCipheriv, randomBytes, scrypt } from 'node:crypto';
import { promisify } from 'node:util';
import type { Recipient } from 'age-encryption';

const LABEL = 'age-encryption.org/v1/scrypt';
const SALT_BYTES = 16;
const KEY_BYTES = 32;
const TAG_BYTES = 16;
/** Each salt makes a key of its own, for one file: its nonce is the first. */
const NONCE = Buffer.alloc(12);
/** 2 to the power of it: what the age program takes, about a second's work. */
const WORK_FACTOR = 18;
const BLOCK_SIZE = 8;
/** Scrypt's table of 256 MiB, and some. */
const MAX_MEMORY_BYTES = 2 * 128 * BLOCK_SIZE * 2 ** WORK_FACTOR;

const deriveKey = promisify<string, Buffer, number, object, Buffer>(scrypt);

export function passphraseRecipient(passphrase: string): Recipient {
  return {
    async wrapFileKey(fileKey) {
      const { Stanza } = await import('age-encryption');
      const salt = randomBytes(SALT_BYTES);
      const cost = { N: 2 ** WORK_FACTOR, r: BLOCK_SIZE, p: 1, maxmem: MAX_MEMORY_BYTES };
      const key = await deriveKey(passphrase, Buffer.concat([Buffer.from(LABEL), salt]), KEY_BYTES, cost);
      const cipher = createCipheriv('chacha20-poly1305', key, NONCE, { authTagLength: TAG_BYTES });
      const sealed = Buffer.concat([cipher.update(fileKey), cipher.final(), cipher.getAuthTag()]);
      const saltText = salt.toString('base64').replace(/=+$/, '');
      return [new Stanza(['scrypt', saltText, String(WORK_FACTOR)], sealed)];
    },
  };
}
