/**
 * Whose signed tokens are void before they expire: a user was deleted or has another password, so what was signed before that must not stand for it
 * any more. Kept in this process alone; a restart forgets it, and then such a token is good until it expires for whatever does not ask for
 * its auth revision.
 */
import type { Identity } from '@etcd/storage/auth';

/** Above it the oldest goes, and with it all tokens of its time. */
const MAX_USERS = 10_000;

export class VoidedUsers {
  /** The auth revision before which a user's tokens are void. */
  readonly #revisions = new Map<string, number>();
  /** Tokens of everybody before it are. */
  #floor = 0;

  add(name: string, revision: number): void {
    this.#revisions.delete(name);
    if (this.#revisions.size >= MAX_USERS) {
      for (const [oldest, before] of this.#revisions) {
        this.#revisions.delete(oldest);
        this.#floor = Math.max(this.#floor, before);
        break;
      }
    }
    this.#revisions.set(name, revision);
  }

  addAll(revision: number): void {
    this.#revisions.clear();
    this.#floor = revision;
  }

  has({ name, revision }: Identity): boolean {
    if (revision < this.#floor) return true;
    return this.#revisions.size > 0 && revision < (this.#revisions.get(name) ?? 0);
  }
}
