local logger = require("logger")
local sql = require("sql")

-- Never change one that has run somewhere: add another.
local MIGRATIONS = {
    {
        [[CREATE TABLE products (
            sku TEXT PRIMARY KEY,
            title TEXT NOT NULL,
            price_cents INTEGER NOT NULL,
            stock INTEGER NOT NULL
        )]],
        [[INSERT INTO products (sku, title, price_cents, stock) VALUES
            ('tea', 'Green tea, 100 g', 790, 120),
            ('pot', 'Tea pot, cast iron', 4900, 7),
            ('cup', 'Cup, porcelain', 1250, 60)]],
    },
    {
        [[CREATE TABLE orders (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            customer TEXT NOT NULL,
            items TEXT NOT NULL,
            total_cents INTEGER NOT NULL,
            discount TEXT NOT NULL,
            status TEXT NOT NULL,
            created_at TEXT NOT NULL
        )]],
        "CREATE INDEX orders_by_status ON orders (status)",
    },
    {
        "ALTER TABLE orders ADD COLUMN request_key TEXT",
        "CREATE UNIQUE INDEX orders_by_request_key ON orders (request_key)",
    },
}

local function migrate(db: any): (number?, any)
    local _, err = db:execute("CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY)")
    if err then
        return nil, err
    end
    local rows, query_err = db:query("SELECT COALESCE(MAX(number), 0) AS number FROM migrations")
    if query_err then
        return nil, query_err
    end
    local done: number = rows[1].number
    for number = done + 1, #MIGRATIONS do
        local tx, begin_err = db:begin()
        if begin_err then
            return nil, begin_err
        end
        for _, statement in ipairs(MIGRATIONS[number]) do
            local _, step_err = tx:execute(statement)
            if step_err then
                tx:rollback()
                return nil, errors.wrap(step_err, "migration " .. number)
            end
        end
        local _, note_err = tx:execute("INSERT INTO migrations (number) VALUES (?)", { number })
        if note_err then
            tx:rollback()
            return nil, note_err
        end
        local _, commit_err = tx:commit()
        if commit_err then
            return nil, commit_err
        end
    end
    return #MIGRATIONS - done, nil
end

local function main()
    local db, err = sql.get("app:db")
    if err then
        error("cannot migrate: " .. tostring(err))
    end
    local count, migrate_err = migrate(db)
    db:release()
    if migrate_err then
        error("cannot migrate: " .. tostring(migrate_err)) -- an error object that says "not retryable" would be the end
    end
    if count > 0 then
        logger:info("database migrated", { steps = count })
    end
    return 0
end

return { main = main }
