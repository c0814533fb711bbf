/** Where a member keeps what: the layout of a data directory. */

/** What tells where a member's files are. */
export interface DataPlace {
  readonly dataDir: string;
  /** Empty: `<dataDir>/member/wal`. */
  readonly walDir: string;
}

/** `<data-dir>/member`. */
export function memberDirectory(place: Pick<DataPlace, 'dataDir'>): string {
  return joinPath(place.dataDir, 'member');
}

export function snapDirectory(place: Pick<DataPlace, 'dataDir'>): string {
  return joinPath(place.dataDir, 'member/snap');
}

export function walDirectory(place: DataPlace): string {
  return place.walDir === '' ? joinPath(place.dataDir, 'member/wal') : place.walDir;
}

export function backendPath(place: Pick<DataPlace, 'dataDir'>): string {
  return joinPath(place.dataDir, 'member/snap/db');
}

function joinPath(directory: string, rest: string): string {
  return directory.endsWith('/') ? directory + rest : `${directory}/${rest}`;
}
