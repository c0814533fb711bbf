/** gRPC's status codes. */

export const GrpcCode = {
  OK: 0,
  Canceled: 1,
  Unknown: 2,
  InvalidArgument: 3,
  DeadlineExceeded: 4,
  NotFound: 5,
  AlreadyExists: 6,
  PermissionDenied: 7,
  ResourceExhausted: 8,
  FailedPrecondition: 9,
  Aborted: 10,
  OutOfRange: 11,
  Unimplemented: 12,
  Internal: 13,
  Unavailable: 14,
  DataLoss: 15,
  Unauthenticated: 16,
} as const;

export type GrpcCode = (typeof GrpcCode)[keyof typeof GrpcCode];

/** The codes' names, at the index that is their number. */
export const GRPC_CODE_NAMES = Object.keys(GrpcCode) as readonly (keyof typeof GrpcCode)[];

/** `InvalidArgument`; a code that does not exist as Go prints it, `Code(42)`. */
export function grpcCodeName(code: number): string {
  return GRPC_CODE_NAMES[code] ?? `Code(${code})`;
}

/** A number from the wire as a code; what is none counts as Unknown. */
export function grpcCodeFrom(value: number): GrpcCode {
  return Number.isInteger(value) && value >= 0 && value < GRPC_CODE_NAMES.length
    ? (value as GrpcCode)
    : GrpcCode.Unknown;
}
