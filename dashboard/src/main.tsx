import { MutationCache, QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { connect, DataError, useSession } from "./data/client.ts";
import { readConfig } from "./data/config.ts";
import { router } from "./router.tsx";
import { SignIn } from "./shell/sign_in.tsx";
import { ErrorNote } from "./ui/states.tsx";
import "./style.css";

const queries: QueryClient = new QueryClient({
  queryCache: new QueryCache(),
  // What was changed may show anywhere: everything on the screen is read again.
  mutationCache: new MutationCache({ onSuccess: () => queries.invalidateQueries() }),
  defaultOptions: {
    queries: {
      staleTime: 5000,
      retry: (failures, error) =>
        failures < 2 &&
        (!(error instanceof DataError) || error.status === 0 || error.status >= 500),
      retryDelay: 1000,
    },
  },
});

function Dashboard() {
  return useSession() ? <RouterProvider router={router} /> : <SignIn />;
}

const root = createRoot(document.getElementById("root") as HTMLElement);
try {
  // What one person has read is not for the next.
  await connect(await readConfig(), () => queries.clear());
  root.render(
    <StrictMode>
      <QueryClientProvider client={queries}>
        <Dashboard />
      </QueryClientProvider>
    </StrictMode>,
  );
} catch (error) {
  root.render(
    <main className="mx-auto mt-16 max-w-xl rounded-lg border border-line bg-panel">
      <ErrorNote error={error as Error} retry={() => location.reload()} />
    </main>,
  );
}
