/**
 * What a member says of itself through `grpc.health.v1`: a member that is being defragmented, or whose log is stuck, calls
 * itself not serving, and calls go to the others meanwhile. A server without the service counts as serving.
 */
import { HealthService } from '@etcd/api/services';
import type { ClientCall, ClientReceiver, GrpcChannel } from '@etcd/transport';

const SERVING = 1;
/** An empty request: the health of the server as a whole. */
const REQUEST = new Uint8Array(0);

export class HealthWatch implements ClientReceiver {
  readonly #call: ClientCall;
  readonly #onHealth: (isServing: boolean) => void;
  #isServing = true;

  constructor(channel: GrpcChannel, onHealth: (isServing: boolean) => void) {
    this.#onHealth = onHealth;
    this.#call = channel.call(HealthService.methods.watch.path, this);
    this.#call.write(REQUEST);
    this.#call.halfClose();
  }

  stop(): void {
    this.#call.cancel();
  }

  onMessage(_call: ClientCall, bytes: Uint8Array, start: number, end: number): void {
    this.#tell(HealthService.methods.watch.response.decode(bytes, start, end).status === SERVING);
  }

  /** The end of the watch says nothing about the member; the end of its connection is noticed elsewhere. */
  onEnd(): void {
    this.#tell(true);
  }

  #tell(isServing: boolean): void {
    if (isServing === this.#isServing) return;
    this.#isServing = isServing;
    this.#onHealth(isServing);
  }
}
