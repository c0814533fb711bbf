/** Lines of tests per line of code, by room: where a part is only tested through others, the number says so. */
import { ROOMS } from '../layout.ts';

export interface CountedFile {
  readonly path: string;
  readonly isTest: boolean;
  readonly isBench: boolean;
  readonly isForTests: boolean;
  readonly text: string;
}

/** Of tests and what they are made with, per line of everything else; benchmarks count for neither. */
const MIN_TEST_RATIO = 0.6;

/** A complaint for each room with fewer lines of tests than it should have. */
export function roomsWithFewTests(files: readonly CountedFile[]): string[] {
  const rooms = Object.entries(ROOMS).flatMap(([name, edges]) =>
    Object.keys(edges).map((room) => ({ name, room })),
  );
  return rooms.flatMap(({ name, room }) => {
    const inRoom = files.filter(
      ({ path, isBench }) => !isBench && path.startsWith(`packages/${name}/src/${room}/`),
    );
    const [tests, code] = [true, false].map((wanted) =>
      lines(inRoom.filter(({ isTest, isForTests }) => (isTest || isForTests) === wanted)),
    ) as [number, number];
    if (tests >= MIN_TEST_RATIO * code) return [];
    const ratio = `${(tests / code).toFixed(2)} lines of tests per line of code, of at least ${MIN_TEST_RATIO}`;
    return [`packages/${name}/src/${room}: ${ratio}`];
  });
}

function lines(files: readonly CountedFile[]): number {
  return files.reduce((sum, { text }) => sum + text.split('\n').length - 1, 0);
}
