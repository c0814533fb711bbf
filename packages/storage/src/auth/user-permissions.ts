/** What a user may do, of all its roles together, at one auth revision. Never changed: another revision makes another one. */
import { PermissionType, type Role } from '@etcd/api/authpb';
import { type GrantedRange, KeyRanges } from './key-ranges.ts';

export class UserPermissions {
  readonly name: string;
  /** May do everything. */
  readonly isRoot: boolean;
  readonly #read: KeyRanges;
  readonly #write: KeyRanges;

  constructor(name: string, isRoot: boolean, roles: readonly Role[]) {
    this.name = name;
    this.isRoot = isRoot;
    const read: GrantedRange[] = [];
    const write: GrantedRange[] = [];
    for (const { keyPermission } of roles) {
      for (const permission of keyPermission) {
        const { permType } = permission;
        if (permType === PermissionType.READ || permType === PermissionType.READWRITE) read.push(permission);
        if (permType === PermissionType.WRITE || permType === PermissionType.READWRITE)
          write.push(permission);
      }
    }
    this.#read = new KeyRanges(read);
    this.#write = new KeyRanges(write);
  }

  mayRead(key: Uint8Array, rangeEnd: Uint8Array): boolean {
    return this.isRoot || this.#read.covers(key, rangeEnd);
  }

  mayWrite(key: Uint8Array, rangeEnd: Uint8Array): boolean {
    return this.isRoot || this.#write.covers(key, rangeEnd);
  }

  /** Whether the key `buffer[start, end)` may be read. */
  mayReadKey(buffer: Uint8Array, start: number, end: number): boolean {
    return this.isRoot || this.#read.hasKey(buffer, start, end);
  }

  mayWriteKey(buffer: Uint8Array, start: number, end: number): boolean {
    return this.isRoot || this.#write.hasKey(buffer, start, end);
  }
}
