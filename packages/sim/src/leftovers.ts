/**
 * What members still hold when nobody wants anything from them: a request, a view of the store, a connection or a watcher that is left over once is left over
 * for every one of its kind, and memory grows with each.
 */
import type { Machine } from './machine.ts';
import type { World } from './world.ts';

/** Two streams from each member of a pair to the other, and what is kept open for further requests. */
const MAX_SOCKETS_PER_PAIR = 2 * (4 + 2 * 4);
const LIMIT_MS = 30_000;

/** To be asked when all who ask for something have stopped; leases may go on ending. */
export async function mustHoldNothing(world: World, watcherCount: number): Promise<void> {
  const machines = world.activeMachines;
  const leftover = (): string | null => {
    const found = machines.flatMap((machine) => leftoversOf(machine, watcherCount));
    return found.length > 0 ? found.join('; ') : socketProblem(world, machines.length);
  };
  const isClean = await world.run(LIMIT_MS, () => leftover() === null);
  if (isClean || world.isOver) return;
  const found = leftover();
  if (found !== null) world.violate('bounds', `not within ${LIMIT_MS / 1000} s given back: ${found}`);
}

function leftoversOf({ name, server }: Machine, watcherCount: number): string[] {
  if (server === null) return [];
  const counts: readonly (readonly [string, number, number])[] = [
    ['requests that wait', server.pending.count, 0],
    ['views of the store', server.store.views.count, 0],
    ['watchers', server.watches.watcherCount, watcherCount],
  ];
  return counts.flatMap(([what, count, max]) => (count > max ? [`${name} has ${count} ${what}`] : []));
}

function socketProblem({ fabric }: World, memberCount: number): string | null {
  const max = (MAX_SOCKETS_PER_PAIR * (memberCount * (memberCount - 1))) / 2;
  // An end whose other end is lost is closed by a timer of Node's, which simulated connections do not have.
  const { length } = fabric.sockets.filter(({ peer }) => peer?.isAlive === true);
  return length > max ? `${length} ends of connections between members, of ${max}` : null;
}
