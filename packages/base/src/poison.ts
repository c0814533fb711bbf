/**
 * Memory that is used again instead of being left to the garbage collector has an owner who says when nobody looks at it any more.
 * Where that is wrong, somebody reads what another has written. Poisoning makes it show at once: tests turn it on.
 */
const POISON = 0xdb;

let isPoisoning = false;

/** From now on, whatever is {@link poisonReleased | released} is made unreadable. */
export function poisonMemory(): void {
  isPoisoning = true;
}

/** To be called by the owner of `memory` when it is free to be used again. */
export function poisonReleased(memory: Uint8Array): void {
  if (isPoisoning) memory.fill(POISON);
}
