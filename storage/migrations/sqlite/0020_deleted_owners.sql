-- Products and organizations are deleted with what is in them, and brought back with it. Until then the row stays: a product's under
-- a key that no label has, an organization's for ever, because no label of an organization is given twice.
ALTER TABLE products ADD COLUMN deleted_at INTEGER;
ALTER TABLE organizations ADD COLUMN deleted_at INTEGER;
CREATE INDEX products_deleted ON products (deleted_at) WHERE deleted_at IS NOT NULL;
