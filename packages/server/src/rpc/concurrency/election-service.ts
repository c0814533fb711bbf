/** `v3electionpb.Election`: who is first in a queue leads, and what stands at its key is what it says. */
import type { RpcError } from '@etcd/api';
import { queuePrefix } from '@etcd/api';
import {
  type CampaignRequest,
  CampaignResponse,
  CampaignResponseCodec,
  LeaderKey,
  type LeaderRequest,
  LeaderResponse,
  LeaderResponseCodec,
  type ProclaimRequest,
  ProclaimResponse,
  ProclaimResponseCodec,
  type ResignRequest,
  ResignResponse,
  ResignResponseCodec,
} from '@etcd/api/v3electionpb';
import { copyBytes, equalBytes, GrpcCode } from '@etcd/base';
import type { ServerCall } from '@etcd/transport';
import { LeaderMonitor } from '../leader-monitor.ts';
import type { Call } from '../row.ts';
import { answer, type RpcContext } from '../rpc-context.ts';
import { Contender, type Entrance } from './contender.ts';
import { Errand } from './errand.ts';
import { Observation } from './observation.ts';
import { firstRequest, leaveRequest, proclaimRequest } from './queue-requests.ts';

const MISSING_LEADER = '"leader" field must be provided';
const NO_LEADER = 'election: no leader';
const NOT_LEADER = 'election: not leader';

export class ElectionService {
  readonly #context: RpcContext;
  readonly #monitor: LeaderMonitor;
  readonly #waiting = new Set<Contender | Observation>();

  constructor(context: RpcContext) {
    const { member } = context;
    this.#context = context;
    const hasLeader = (): boolean => member.leader !== 0n;
    this.#monitor = new LeaderMonitor(member.clock, member.config.electionTimeoutMs, hasLeader);
  }

  campaign(call: Call<CampaignResponse>, request: CampaignRequest): void {
    const name = copyBytes(request.name);
    const respond = ({ key, revision: rev, lease, atRevision }: Entrance): void => {
      const header = this.#context.header.header(atRevision);
      const leader = new LeaderKey({ name, key, rev, lease });
      answer(call, CampaignResponseCodec, new CampaignResponse({ header, leader }));
    };
    const contender = new Contender({
      context: this.#context,
      call,
      name,
      lease: request.lease,
      value: request.value,
      onOver: (over) => this.#waiting.delete(over),
      steps: {
        onEntered: (entered, entrance) => {
          const { before, lease } = entrance;
          if (before === null || equalBytes(before.value, entered.value)) return entered.waitForTurn();
          entered.errand.txn(proclaimRequest(entrance, lease, entered.value), ({ succeeded }) => {
            if (succeeded) entered.waitForTurn();
            else entered.fail(NOT_LEADER);
          });
        },
        onTurn: (waited) => waited.finish(respond),
      },
    });
    this.#waiting.add(contender);
    contender.begin();
  }

  proclaim(call: Call<ProclaimResponse>, { leader, value }: ProclaimRequest): void {
    if (leader === null) return fail(call, MISSING_LEADER);
    const errand = this.#errand(call);
    const place = { key: copyBytes(leader.key), revision: leader.rev };
    const said = copyBytes(value);
    errand.lease(leader.lease, (lease) => {
      errand.txn(proclaimRequest(place, lease, said), ({ succeeded, revision }) => {
        if (!succeeded) return fail(call, NOT_LEADER);
        const header = this.#context.header.header(revision);
        answer(call, ProclaimResponseCodec, new ProclaimResponse({ header }));
      });
    });
  }

  /** Whoever does not lead (any more) has nothing to resign, which is not an error. */
  resign(call: Call<ResignResponse>, { leader }: ResignRequest): void {
    if (leader === null) return fail(call, MISSING_LEADER);
    const errand = this.#errand(call);
    const place = { key: copyBytes(leader.key), revision: leader.rev };
    errand.lease(leader.lease, () => {
      errand.txn(leaveRequest(place), ({ revision }) => {
        const header = this.#context.header.header(revision);
        answer(call, ResignResponseCodec, new ResignResponse({ header }));
      });
    });
  }

  leader(call: Call<LeaderResponse>, { name }: LeaderRequest): void {
    this.#errand(call).first(firstRequest(queuePrefix(name)), (kv, revision) => {
      if (kv === null) return fail(call, NO_LEADER);
      const header = this.#context.header.header(revision);
      answer(call, LeaderResponseCodec, new LeaderResponse({ header, kv }));
    });
  }

  observe(call: Call<LeaderResponse>, { name }: LeaderRequest): void {
    const observation = new Observation(this.#context, call, queuePrefix(name), (over) => {
      this.#waiting.delete(over);
      this.#monitor.remove(call);
    });
    this.#waiting.add(observation);
    this.#monitor.add(call);
    observation.begin();
  }

  /** Ends the calls that wait. */
  stop(reason: RpcError): void {
    this.#monitor.stop();
    for (const waiting of [...this.#waiting]) waiting.stop(reason);
  }

  #errand(call: ServerCall): Errand {
    return new Errand(this.#context, call, ({ message }) => fail(call, message));
  }
}

/** With what etcd has no code for. */
function fail(call: ServerCall, message: string): void {
  call.fail(GrpcCode.Unknown, message);
}
