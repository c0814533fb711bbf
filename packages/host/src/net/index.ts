/**
 * A program's ports and connections. {@link Listener} listens on one URL and hands what arrives to gRPC or to plain HTTP, by
 * the first bytes; it is bound before it is {@link Listener.open}ed, so that a port is sure before anything else begins.
 * {@link TCP_DIALER} and {@link secureDialer} open connections; nothing else in a program does. {@link HttpAnswer} is what plain HTTP is answered
 * with, apart from the version of HTTP that it travels by. {@link lookUpSrv} finds servers by the records of a domain, and
 * {@link lookUpClientEndpoints} those that clients are to talk to.
 */
export { type ClientEndpoint, lookUpClientEndpoints } from './client-endpoints.ts';
export { type DefaultHost, findDefaultHost, type NetworkFacts } from './default-host.ts';
export { connectionErrorText, type Dialer, secureDialer, TCP_DIALER } from './dialer.ts';
export {
  type Answering,
  type HttpAnswer,
  type HttpQuestion,
  httpError,
  httpJson,
  httpText,
  methodNotAllowed,
  NOT_FOUND,
} from './http-answer.ts';
export { ListenError } from './listen-error.ts';
export {
  type HttpRequestHandler,
  Listener,
  type ListenerOptions,
  type ListenerSecurity,
  type ListenerServices,
} from './listener.ts';
export { type RequestTarget, readTarget, redirectTo } from './request-target.ts';
export {
  type LookUpSrv,
  lookUpAddress,
  lookUpSrv,
  type SrvRecord,
  type SrvTarget,
  srvName,
} from './srv-records.ts';
export { WholeHead } from './whole-head.ts';
export type { WholeHeaders, WholeRequest } from './whole-requests.ts';
