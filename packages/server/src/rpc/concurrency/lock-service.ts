/** `v3lockpb.Lock`: a lock that is the first place of a queue. */
import type { Revision, RpcError } from '@etcd/api';
import { RangeRequest } from '@etcd/api/etcdserverpb';
import {
  type LockRequest,
  LockResponse,
  LockResponseCodec,
  type UnlockRequest,
  UnlockResponse,
  UnlockResponseCodec,
} from '@etcd/api/v3lockpb';
import { GrpcCode } from '@etcd/base';
import type { Call } from '../row.ts';
import { answer, type RpcContext } from '../rpc-context.ts';
import { Contender, type Entrance } from './contender.ts';
import { Errand } from './errand.ts';

const SESSION_EXPIRED = 'mutex: session is expired';

export class LockService {
  readonly #context: RpcContext;
  readonly #waiting = new Set<Contender>();

  constructor(context: RpcContext) {
    this.#context = context;
  }

  lock(call: Call<LockResponse>, { name, lease }: LockRequest): void {
    const respond = ({ key }: Entrance, revision: Revision): void => {
      const header = this.#context.header.header(revision);
      answer(call, LockResponseCodec, new LockResponse({ header, key }));
    };
    const contender = new Contender({
      context: this.#context,
      call,
      name,
      lease,
      onOver: (over) => this.#waiting.delete(over),
      steps: {
        onEntered: (entered, { isFirst }) => {
          if (isFirst) entered.finish((entrance) => respond(entrance, entrance.atRevision));
          else entered.waitForTurn();
        },
        // The lease may have ended meanwhile, and the key with it.
        onTurn: (waited, { key }) => {
          waited.errand.first(new RangeRequest({ key }), (pair, revision) => {
            if (pair === null) waited.fail(SESSION_EXPIRED);
            else waited.finish((entrance) => respond(entrance, revision));
          });
        },
      },
    });
    this.#waiting.add(contender);
    contender.begin();
  }

  unlock(call: Call<UnlockResponse>, { key }: UnlockRequest): void {
    const errand = new Errand(this.#context, call, ({ message }) => call.fail(GrpcCode.Unknown, message));
    errand.delete(key, (revision) => {
      const header = this.#context.header.header(revision);
      answer(call, UnlockResponseCodec, new UnlockResponse({ header }));
    });
  }

  /** Ends the calls that wait. */
  stop(reason: RpcError): void {
    for (const contender of [...this.#waiting]) contender.stop(reason);
  }
}
