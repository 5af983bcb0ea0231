import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    reporters: ["default", "./test/support/tally.ts"],
    projects: [
      {
        test: {
          name: "pure",
          include: ["test/**/*.test.ts"],
          exclude: ["test/e2e/**", "test/workerd/**"],
          setupFiles: ["test/support/fuzz.ts"],
        },
      },
      {
        // Inside workerd: what only the platform can show.
        plugins: [cloudflareTest({ wrangler: { configPath: "./wrangler.toml", environment: "cloud" } })],
        test: { name: "workerd", include: ["test/workerd/**/*.test.ts"] },
      },
      {
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          globalSetup: ["test/support/bundle.ts"],
          // Each file starts real processes; two cores carry two such files, not eight.
          maxWorkers: 2,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
