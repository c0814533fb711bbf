/**
 * The commands of the program `etcd` beside the server itself, as a tree of values. What a command does is loaded when it is run: a
 * server, and help, need none of it.
 */
import type { Command } from '@etcd/host/cli';
import { GATEWAY_FLAGS } from './gateway/gateway-flags.ts';
import { GRPC_PROXY_FLAGS } from './server/grpc-proxy-flags.ts';

const GATEWAY: Command = {
  name: 'gateway',
  usage: '<subcommand>',
  summary: 'gateway related command',
  commands: [
    {
      name: 'start',
      usage: '[flags]',
      summary: 'start the gateway',
      flags: GATEWAY_FLAGS,
      run: async (invocation) => (await import('./gateway/start-gateway.ts')).startGateway(invocation),
    },
  ],
};

const GRPC_PROXY: Command = {
  name: 'grpc-proxy',
  usage: '<subcommand>',
  summary: 'grpc-proxy related command',
  commands: [
    {
      name: 'start',
      usage: '[flags]',
      summary: 'start the grpc proxy',
      flags: GRPC_PROXY_FLAGS,
      run: async (invocation) => (await import('./server/start-grpc-proxy.ts')).startGrpcProxy(invocation),
    },
  ],
};

export const PROXY_COMMANDS: Command = {
  name: 'etcd',
  usage: '',
  summary: 'etcd server',
  commands: [GATEWAY, GRPC_PROXY],
};
