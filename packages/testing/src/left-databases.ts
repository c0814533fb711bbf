/** Which of the files that a test leaves are bbolt's, for whoever checks those: `testing` itself knows no database. */
import { checkFilesLeft, type LeftFiles } from './left-files.ts';
import { SimDisk } from './sim-disk.ts';

const MAGIC = 0xed0cdaed;
const MAGIC_AT = 16;
const MIN_PAGE_BYTES = 1024;
const MAX_PAGE_BYTES = 1 << 24;
/** Of a file that is not whole yet. */
const UNFINISHED = '.tmp';

/**
 * From now on each test of this file ends with a check of every database on every disk that it has made and not crashed.
 *
 * @param problemOf what is wrong with the database at this path of this disk, which hold nothing else; null: nothing. May throw.
 */
export function checkDatabasesLeft(problemOf: (disk: SimDisk, path: string) => string | null): LeftFiles {
  return checkFilesLeft((path, bytes) => {
    if (path.endsWith(UNFINISHED) || !isDatabase(bytes)) return null;
    const disk = new SimDisk();
    const file = disk.openFile('/db', { access: 'readwrite', create: true });
    file.write(bytes, 0, bytes.length, 0);
    file.close();
    try {
      return problemOf(disk, '/db');
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  });
}

/** Whether one of its meta pages says so. */
function isDatabase(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const hasMagic = (page: number): boolean =>
    page + MAGIC_AT + 4 <= bytes.length && view.getUint32(page + MAGIC_AT, true) === MAGIC;
  if (hasMagic(0)) return true;
  for (let page = MIN_PAGE_BYTES; page <= MAX_PAGE_BYTES; page *= 2) if (hasMagic(page)) return true;
  return false;
}
