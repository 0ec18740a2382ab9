#!/usr/bin/env php
<?php

declare(strict_types=1);

/*
 * Plain-SQL schema migrations.
 *
 *   migrate.php DSN DIRECTORY            apply what is pending
 *   migrate.php DSN DIRECTORY --dry-run  print what would be applied
 *   migrate.php DSN DIRECTORY --status   list every migration and its state
 *
 * Files are named 0007_add_delivery_window.sql. A file that changed after it was
 * applied stops the run: history is never edited, only added to. A first line of
 * "-- migrate:no-transaction" lets a statement run outside a transaction.
 */

final readonly class Migration
{
    public string $sql;
    public string $checksum;

    public function __construct(public int $version, public string $name, string $path)
    {
        $sql = file_get_contents($path);
        if ($sql === false || trim($sql) === '') {
            throw new RuntimeException("$path is empty or cannot be read");
        }
        $this->sql = $sql;
        // Line endings differ between checkouts and must not count as a change.
        $this->checksum = hash('sha256', str_replace("\r\n", "\n", $sql));
    }

    public function isTransactional(): bool
    {
        return !str_starts_with($this->sql, '-- migrate:no-transaction');
    }

    /** @return array<int, self> by version, ascending */
    public static function loadAll(string $directory): array
    {
        $found = [];
        foreach (glob($directory . '/*.sql') ?: [] as $path) {
            if (preg_match('/^(\d+)_([a-z0-9_]+)\.sql$/', basename($path), $m) !== 1) {
                throw new RuntimeException("$path does not follow NUMBER_name.sql");
            }
            $version = (int) $m[1];
            if (isset($found[$version])) {
                throw new RuntimeException("version $version is used by two files");
            }
            $found[$version] = new self($version, $m[2], $path);
        }
        ksort($found);
        return $found;
    }
}

final class Migrator
{
    public function __construct(private readonly PDO $db)
    {
        $db->exec(
            'CREATE TABLE IF NOT EXISTS schema_migration (
                version    INTEGER PRIMARY KEY,
                name       VARCHAR(200) NOT NULL,
                checksum   CHAR(64) NOT NULL,
                applied_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
            )'
        );
    }

    /** @return array<int, array{name: string, checksum: string, applied_at: string}> */
    public function applied(): array
    {
        return $this->db->query('SELECT version, name, checksum, applied_at FROM schema_migration')
            ->fetchAll(PDO::FETCH_UNIQUE | PDO::FETCH_ASSOC);
    }

    public function pending(array $available): array
    {
        $applied = $this->applied();
        foreach ($applied as $version => ['name' => $name, 'checksum' => $checksum]) {
            $migration = $available[$version]
                ?? throw new RuntimeException("applied migration $version ($name) has no file");
            if (!hash_equals($checksum, $migration->checksum)) {
                throw new RuntimeException("migration $version ($name) was edited after it was applied");
            }
        }
        $pending = array_diff_key($available, $applied);
        $latest = max([0, ...array_keys($applied)]);
        foreach (array_keys($pending) as $version) {
            if ($version < $latest) {
                throw new RuntimeException("migration $version comes before $latest, which is applied already");
            }
        }
        return $pending;
    }

    public function apply(Migration $migration): void
    {
        $record = function () use ($migration): void {
            $this->db->exec($migration->sql);
            $this->db
                ->prepare('INSERT INTO schema_migration (version, name, checksum) VALUES (?, ?, ?)')
                ->execute([$migration->version, $migration->name, $migration->checksum]);
        };
        $migration->isTransactional() && $this->db->beginTransaction();
        try {
            $record();
            // Some engines commit implicitly on DDL, so there may be nothing to finish.
            $this->db->inTransaction() && $this->db->commit();
        } catch (Throwable $error) {
            $this->db->inTransaction() && $this->db->rollBack();
            throw $error;
        }
    }
}

[$flags, $arguments] = [[], []];
foreach (array_slice($argv, 1) as $word) {
    str_starts_with($word, '--') ? $flags[$word] = true : $arguments[] = $word;
}
if (count($arguments) !== 2 || array_diff_key($flags, ['--dry-run' => 1, '--status' => 1]) !== []) {
    fwrite(STDERR, "usage: migrate.php DSN DIRECTORY [--dry-run|--status]\n");
    exit(2);
}

try {
    $db = new PDO($arguments[0], getenv('DB_USER') ?: null, getenv('DB_PASSWORD') ?: null);
    $migrator = new Migrator($db);
    $available = Migration::loadAll($arguments[1]);

    if (isset($flags['--status'])) {
        $applied = $migrator->applied();
        foreach ($available as $version => $migration) {
            printf("%04d  %-40s %s\n", $version, $migration->name, $applied[$version]['applied_at'] ?? 'pending');
        }
        exit(0);
    }
    foreach ($migrator->pending($available) as $version => $migration) {
        $started = hrtime(true);
        if (!isset($flags['--dry-run'])) {
            $migrator->apply($migration);
        }
        printf("%04d %s (%.0f ms)\n", $version, $migration->name, (hrtime(true) - $started) / 1e6);
    }
} catch (Exception $error) {
    fwrite(STDERR, "migrate: {$error->getMessage()}\n");
    exit(1);
}
