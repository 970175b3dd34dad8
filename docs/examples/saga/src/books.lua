local sql = require("sql")

local books = { STOCK = 5 }

local TABLE = [[CREATE TABLE IF NOT EXISTS books (
    id TEXT NOT NULL, what TEXT NOT NULL, amount INTEGER NOT NULL, PRIMARY KEY (id, what))]]
local RESERVE = [[INSERT OR IGNORE INTO books
    SELECT $1, 'reserved', $2 WHERE $2 <= $3 - (
        SELECT COALESCE(SUM(amount), 0) FROM books WHERE what = 'reserved'
        AND id NOT IN (SELECT id FROM books WHERE what = 'released'))]]

-- Whatever is wrong with the database now may be right later: the activity is asked again.
local function later(problem: any): any
    return errors.new({ message = tostring(problem), kind = errors.UNAVAILABLE, retryable = true })
end

local function with_db(work: (any) -> (any, any)): (any, any)
    local db, err = sql.get("app:db")
    if err then
        return nil, later(err)
    end
    local value
    local _, problem = db:execute(TABLE)
    if not problem then
        value, problem = work(db)
    end
    db:release()
    if problem then
        return nil, later(problem)
    end
    return value, nil
end

-- Writes a line, if it is not there.
function books.write(id: string, what: string, amount: number): (any, any)
    return with_db(function(db)
        local _, err = db:execute("INSERT OR IGNORE INTO books VALUES ($1, $2, $3)", { id, what, amount })
        return true, err
    end)
end

-- Takes count pieces for the order; whether it has them.
function books.reserve(id: string, count: number): (any, any)
    return with_db(function(db)
        local _, err = db:execute(RESERVE, { id, count, books.STOCK })
        if err then
            return nil, err
        end
        local rows, problem = db:query("SELECT 1 FROM books WHERE id = $1 AND what = 'reserved'", { id })
        return rows ~= nil and #rows == 1, problem
    end)
end

-- All lines: amounts by order and what was done.
function books.all(): (any, any)
    return with_db(function(db)
        local rows, err = db:query("SELECT id, what, amount FROM books ORDER BY id, what")
        if err then
            return nil, err
        end
        local found: { [string]: { [string]: number } } = {}
        for _, row in ipairs(rows) do
            found[row.id] = found[row.id] or {}
            found[row.id][row.what] = row.amount
        end
        return found, nil
    end)
end

return books
