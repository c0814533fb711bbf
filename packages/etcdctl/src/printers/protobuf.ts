/** The format `protobuf`: the answer as it came. */
import { type Codec, encode } from '@etcd/api';
import * as pb from '@etcd/api/etcdserverpb';
import { EMPTY_BYTES } from '@etcd/base';
import { type Printer, unsupported } from './printer.ts';

const no = unsupported('protobuf');

function whole<Response>(codec: Codec<Response>): (result: { readonly response: Response }) => Uint8Array {
  return ({ response }) => encode(codec, response);
}

/** Of an answer about leases only the header, which is what Go's tool finds in it. */
function header({
  response,
}: {
  readonly response: { readonly header: pb.ResponseHeader | null };
}): Uint8Array {
  return response.header === null ? EMPTY_BYTES : encode(pb.ResponseHeaderCodec, response.header);
}

export const PROTOBUF_PRINTER: Printer = {
  del: whole(pb.DeleteRangeResponseCodec),
  get: whole(pb.RangeResponseCodec),
  put: whole(pb.PutResponseCodec),
  txn: whole(pb.TxnResponseCodec),
  watch: ({ response }) => {
    const { header: head, events, compactRevision, canceled, created } = response;
    return pb.encodeWatchResponse(
      new pb.WatchResponse({ header: head, events, compactRevision, canceled, created }),
    );
  },
  leaseGrant: header,
  leaseRevoke: whole(pb.LeaseRevokeResponseCodec),
  leaseKeepAlive: header,
  leaseTimeToLive: header,
  leaseList: header,
  memberAdd: whole(pb.MemberAddResponseCodec),
  memberRemove: whole(pb.MemberRemoveResponseCodec),
  memberUpdate: whole(pb.MemberUpdateResponseCodec),
  memberPromote: whole(pb.MemberPromoteResponseCodec),
  memberList: whole(pb.MemberListResponseCodec),
  endpointHealth: no,
  endpointStatus: no,
  endpointHash: no,
  moveLeader: whole(pb.MoveLeaderResponseCodec),
  downgrade: whole(pb.DowngradeResponseCodec),
  alarm: whole(pb.AlarmResponseCodec),
  roleAdd: whole(pb.AuthRoleAddResponseCodec),
  roleGet: whole(pb.AuthRoleGetResponseCodec),
  roleDelete: whole(pb.AuthRoleDeleteResponseCodec),
  roleList: whole(pb.AuthRoleListResponseCodec),
  roleGrantPermission: whole(pb.AuthRoleGrantPermissionResponseCodec),
  roleRevokePermission: whole(pb.AuthRoleRevokePermissionResponseCodec),
  userAdd: whole(pb.AuthUserAddResponseCodec),
  userGet: whole(pb.AuthUserGetResponseCodec),
  userList: whole(pb.AuthUserListResponseCodec),
  userChangePassword: whole(pb.AuthUserChangePasswordResponseCodec),
  userGrantRole: whole(pb.AuthUserGrantRoleResponseCodec),
  userRevokeRole: whole(pb.AuthUserRevokeRoleResponseCodec),
  userDelete: whole(pb.AuthUserDeleteResponseCodec),
  authStatus: whole(pb.AuthStatusResponseCodec),
};
