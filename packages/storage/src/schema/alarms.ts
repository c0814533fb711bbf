/** Codec of the `alarm` bucket: each alarm is a key, and the values are empty. */
import type { MemberId } from '@etcd/api';
import { AlarmMember, decodeAlarmMember, encodeAlarmMember } from '@etcd/api/etcdserverpb';
import { EMPTY_BYTES, hexFromBytes } from '@etcd/base';
import type { BackendReader, BackendWriter } from '../backend/index.ts';
import { ALARM } from './buckets.ts';
import { corrupt } from './schema-error.ts';

export function createAlarmBucket(writer: BackendWriter): void {
  writer.createBucket(ALARM);
}

export function readAlarms(reader: BackendReader): AlarmMember[] {
  const alarms: AlarmMember[] = [];
  reader.forEach(ALARM, (key) => {
    try {
      alarms.push(decodeAlarmMember(key));
    } catch (error) {
      throw corrupt('alarm', hexFromBytes(key), 'not an alarm', error);
    }
  });
  return alarms;
}

export function putAlarm(writer: BackendWriter, memberId: MemberId, alarm: number): void {
  writer.put(ALARM, encodeAlarmMember(new AlarmMember({ memberId, alarm })), EMPTY_BYTES);
}

export function deleteAlarm(writer: BackendWriter, memberId: MemberId, alarm: number): void {
  writer.delete(ALARM, encodeAlarmMember(new AlarmMember({ memberId, alarm })));
}
