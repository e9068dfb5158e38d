// In the place of supabase-js's clients of Realtime, Storage and the functions: the dashboard asks the Data API and Auth
// alone, and these are an eighth of its first screen.
export class RealtimeClient {
  setAuth(): void {}
}
export class StorageClient {}
export class StorageApiError extends Error {}
export class FunctionsClient {}
export class FunctionsError extends Error {}
export class FunctionsFetchError extends FunctionsError {}
export class FunctionsHttpError extends FunctionsError {}
export class FunctionsRelayError extends FunctionsError {}
export const FunctionRegion = {};
