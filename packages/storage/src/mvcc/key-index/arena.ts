/**
 * Memory outside the V8 heap for many small blocks: slabs of fixed size, each an ArrayBuffer, cut into units of eight
 * bytes. A block is named by a 31-bit number ("ref": slab index and unit), so structures built of blocks point at each
 * other without objects, and the garbage collector sees a few hundred slabs however many blocks there are.
 *
 * Growth adds a slab and copies nothing. Freed blocks are reused by later blocks of the same size class.
 *
 *   ref = slab index << SLAB_UNIT_BITS | unit        byte offset in the slab = unit * 8
 *
 * Slabs are zeroed when new; a reused block holds garbage. Ref 0 is never handed out: it means "none".
 */
import { assert } from '@etcd/base';

/** Units of eight bytes in a slab: 4 MiB. */
export const SLAB_UNIT_BITS = 19;
export const UNIT_MASK: number = (1 << SLAB_UNIT_BITS) - 1;
const SLAB_UNITS = 1 << SLAB_UNIT_BITS;
const SLAB_BYTES = SLAB_UNITS * 8;

/** Refs stay positive 31-bit integers, which V8 keeps unboxed: 16 GiB of blocks. */
const MAX_SLABS = 1 << (31 - SLAB_UNIT_BITS);

/** Up to here (512 bytes) every number of units has a class of its own; above, four classes to each doubling. */
const EXACT_UNITS = 64;
const STEPS_PER_DOUBLING = 4;
/** Larger blocks (512 KiB) get a slab to themselves, given back to the system when they are freed. */
const MAX_SHARED_UNITS = 1 << 16;
const CLASS_COUNT = EXACT_UNITS + 1 + STEPS_PER_DOUBLING * 10;

const EMPTY_U8 = new Uint8Array(0);
const EMPTY_I32 = new Int32Array(0);
const EMPTY_F64 = new Float64Array(0);

export class Arena {
  /** Three views of each slab. Index: `ref >>> SLAB_UNIT_BITS`. */
  readonly u8: Uint8Array[] = [];
  readonly i32: Int32Array[] = [];
  readonly f64: Float64Array[] = [];
  readonly #freeHeads = new Int32Array(CLASS_COUNT);
  /** Slab indices whose memory has been given back. */
  readonly #vacantSlabs: number[] = [];
  #bumpSlab = -1;
  #bumpUnit = SLAB_UNITS;
  #usedBytes = 0;
  #slabBytes = 0;

  /** Bytes in blocks that are in use, with what their size class adds. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Bytes of all slabs. */
  get slabBytes(): number {
    return this.#slabBytes;
  }

  /** A block of at least `sizeBytes`, aligned to eight bytes. */
  allocate(sizeBytes: number): number {
    const units = (sizeBytes + 7) >>> 3;
    assert(units > 0, 'arena: empty block');
    if (units > MAX_SHARED_UNITS) return this.#allocateAlone(units);
    const sizeClass = classOf(units);
    const classUnits = unitsOf(sizeClass);
    this.#usedBytes += classUnits * 8;
    const head = this.#freeHeads[sizeClass]!;
    if (head !== 0) {
      this.#freeHeads[sizeClass] = this.i32[head >>> SLAB_UNIT_BITS]![(head & UNIT_MASK) * 2]!;
      return head;
    }
    if (this.#bumpUnit + classUnits > SLAB_UNITS) this.#startSlab();
    const ref = (this.#bumpSlab << SLAB_UNIT_BITS) | this.#bumpUnit;
    this.#bumpUnit += classUnits;
    return ref;
  }

  /** Gives back a block; `sizeBytes` is what it was allocated with. */
  free(ref: number, sizeBytes: number): void {
    const units = (sizeBytes + 7) >>> 3;
    if (units > MAX_SHARED_UNITS) return this.#freeAlone(ref, units);
    const sizeClass = classOf(units);
    this.#usedBytes -= unitsOf(sizeClass) * 8;
    this.#pushFree(ref, sizeClass);
  }

  #pushFree(ref: number, sizeClass: number): void {
    this.i32[ref >>> SLAB_UNIT_BITS]![(ref & UNIT_MASK) * 2] = this.#freeHeads[sizeClass]!;
    this.#freeHeads[sizeClass] = ref;
  }

  #startSlab(): void {
    this.#donateRest();
    this.#bumpSlab = this.#addSlab(SLAB_BYTES);
    // Unit 0 of the first slab would be ref 0, which means "none".
    this.#bumpUnit = this.#bumpSlab === 0 ? 1 : 0;
  }

  /** What is left of the current slab becomes free blocks of the largest classes that fit. */
  #donateRest(): void {
    let left = SLAB_UNITS - this.#bumpUnit;
    while (left > 0) {
      let sizeClass = classOf(left);
      if (unitsOf(sizeClass) > left) sizeClass--;
      this.#pushFree((this.#bumpSlab << SLAB_UNIT_BITS) | this.#bumpUnit, sizeClass);
      this.#bumpUnit += unitsOf(sizeClass);
      left -= unitsOf(sizeClass);
    }
  }

  #allocateAlone(units: number): number {
    // One unit more, so that the block never starts at ref 0.
    const bytes = (units + 1) * 8;
    this.#usedBytes += bytes;
    return (this.#addSlab(bytes) << SLAB_UNIT_BITS) | 1;
  }

  #freeAlone(ref: number, units: number): void {
    const bytes = (units + 1) * 8;
    const slab = ref >>> SLAB_UNIT_BITS;
    assert(this.u8[slab]!.length === bytes, 'arena: block freed with another size');
    this.#usedBytes -= bytes;
    this.#slabBytes -= bytes;
    this.u8[slab] = EMPTY_U8;
    this.i32[slab] = EMPTY_I32;
    this.f64[slab] = EMPTY_F64;
    this.#vacantSlabs.push(slab);
  }

  #addSlab(bytes: number): number {
    const buffer = new ArrayBuffer(bytes);
    this.#slabBytes += bytes;
    const index = this.#vacantSlabs.pop() ?? this.u8.length;
    assert(index < MAX_SLABS, 'arena: address space exhausted');
    this.u8[index] = new Uint8Array(buffer);
    this.i32[index] = new Int32Array(buffer);
    this.f64[index] = new Float64Array(buffer);
    return index;
  }
}

/** The smallest class whose blocks have at least `units`. */
function classOf(units: number): number {
  if (units <= EXACT_UNITS) return units;
  // 2^(doubling) < units <= 2^(doubling + 1), in quarters.
  const doubling = 31 - Math.clz32(units - 1);
  const quarter = (units - 1 - (1 << doubling)) >>> (doubling - 2);
  return EXACT_UNITS + 1 + (doubling - 6) * STEPS_PER_DOUBLING + quarter;
}

function unitsOf(sizeClass: number): number {
  if (sizeClass <= EXACT_UNITS) return sizeClass;
  const step = sizeClass - EXACT_UNITS - 1;
  const doubling = 6 + (step >>> 2);
  return (1 << doubling) + (((step & 3) + 1) << (doubling - 2));
}
