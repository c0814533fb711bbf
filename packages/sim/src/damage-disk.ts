/** Damage as disks do it by themselves: bits that rot, sectors that are gone, writes that went to another place. */
import type { SeededRandom } from '@etcd/base';
import type { SimDisk } from '@etcd/testing';

const SECTOR_BYTES = 512;

/** Damages one file below `/`, in place. Returns what was done; null when there is no file with anything in it. */
export function damageDisk(disk: SimDisk, random: SeededRandom): string | null {
  const files = filesBelow(disk, '/').filter((path) => (disk.stat(path)?.sizeBytes ?? 0) > 0);
  if (files.length === 0) return null;
  const path = random.pick(files);
  const file = disk.openFile(path, { access: 'readwrite' });
  const sizeBytes = file.sizeBytes();
  const sector = new Uint8Array(SECTOR_BYTES);
  const at = (): number => random.below(Math.ceil(sizeBytes / SECTOR_BYTES)) * SECTOR_BYTES;
  const place = at();
  const length = Math.min(SECTOR_BYTES, sizeBytes - place);
  const kind = random.pick([
    'a bit flipped',
    'a sector zeroed',
    'a sector of another place',
    'an end cut off',
  ]);
  if (kind === 'an end cut off') file.truncate(place);
  else {
    if (kind === 'a bit flipped') {
      file.read(sector, 0, length, place);
      sector[random.below(length)]! ^= 1 << random.below(8);
    } else if (kind === 'a sector of another place') file.read(sector, 0, length, at());
    file.write(sector, 0, length, place);
  }
  file.sync();
  file.close();
  return `${kind} at ${place} of ${path}`;
}

function filesBelow(disk: SimDisk, directory: string): string[] {
  return disk.readDirectory(directory).flatMap((name) => {
    const path = disk.join(directory, name);
    return disk.stat(path)?.isDirectory === true ? filesBelow(disk, path) : [path];
  });
}
